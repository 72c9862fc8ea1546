package stream

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// streamsNow are the streams that a server has, by name, with their consumers.
type streamsNow map[string]server.StreamDetail

func (n streamsNow) has(stream, durable string) bool {
	return slices.ContainsFunc(n[stream].Consumer, func(c *server.ConsumerInfo) bool { return c.Name == durable })
}

// lookAtStreams asks the server itself, which needs no connection.
func lookAtStreams(s *server.Server) (streamsNow, error) {
	account, err := s.JszAccount(&server.JSzOptions{Account: ownAccount, Streams: true, Consumer: true})
	if err != nil {
		return nil, fmt.Errorf("looking at the streams of the embedded NATS server: %w", err)
	}
	out := streamsNow{}
	for _, stream := range account.Streams {
		out[stream.Name] = stream
	}
	return out, nil
}

// absurd returns the durables that have seen more of their stream than there is. The
// server takes such a durable for one that has seen everything, and leaves out what it
// has not.
func (d *durables) absurd(now streamsNow) (out []*foundDurable) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.found {
		if stream, ok := now[f.stream]; ok && !f.lost && f.state.beyond(stream.State.LastSeq) {
			out = append(out, f)
		}
	}
	return out
}

// distrust has the server refuse the states of these durables, which it must not have
// loaded.
func (d *durables) distrust(absurd []*foundDurable) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range absurd {
		f.lost = true
		f.damage = append(f.damage, "by its state it has seen more events than there are")
		if err := d.secure(f); err != nil {
			return fmt.Errorf("securing durable %s of stream %s, whose state is absurd: %w", f.name, f.stream, err)
		}
	}
	return nil
}
