package durablerepair

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// streamsNow are the streams of a server, by name, with their consumers.
type streamsNow map[string]server.StreamDetail

func (n streamsNow) has(stream, durable string) bool {
	return slices.ContainsFunc(n[stream].Consumer, func(c *server.ConsumerInfo) bool { return c.Name == durable })
}

// look returns the streams of the server without a connection, nil if the server does not run.
func (r *Repairer) look(s *server.Server) (streamsNow, error) {
	if !s.Running() || !s.JetStreamEnabled() {
		return nil, nil
	}
	account, err := s.JszAccount(&server.JSzOptions{Account: r.cfg.Account, Streams: true, Consumer: true})
	if err != nil {
		return nil, fmt.Errorf("looking at the streams of the embedded NATS server: %w", err)
	}
	out := streamsNow{}
	for _, stream := range account.Streams {
		out[stream.Name] = stream
	}
	return out, nil
}

const absurd = "by its state it has seen more events than there are"

// Distrust looks for durables that are ahead of the end of their stream. The server would
// assume that such a durable has seen everything, and skip new events. If there are any,
// Distrust ends the server with stop, makes the next one refuse their states, and returns true.
// It must be called right after the start of the server.
func (r *Repairer) Distrust(s *server.Server, stop func(*server.Server)) (bool, error) {
	now, err := r.look(s)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stopped := false
	for _, f := range r.found {
		if stream, ok := now[f.stream]; !ok || f.lost || !f.state.beyond(stream.State.LastSeq) {
			continue
		}
		if !stopped {
			stop(s)
			stopped = true
		}
		f.lost = true
		f.damage = append(f.damage, absurd)
		if err := r.secure(f); err != nil {
			return false, fmt.Errorf("securing durable %s of stream %s, whose state is absurd: %w", f.name, f.stream, err)
		}
	}
	return stopped, nil
}
