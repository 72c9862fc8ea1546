package durablerepair

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// record remembers, outside the server's folder, which durables there are, with their meta.inf,
// by stream and durable. A durable with a missing folder or an unreadable configuration is
// restored from it.
type record struct {
	memory *datafolder.Memory // nil remembers nothing
	known  map[string]map[string]json.RawMessage
}

// openRecord returns an empty record and an error if the old one is unreadable.
func openRecord(memory *datafolder.Memory) (*record, error) {
	r := &record{memory: memory, known: map[string]map[string]json.RawMessage{}}
	if memory == nil {
		return r, nil
	}
	text, err := memory.Load()
	if err != nil || len(text) == 0 {
		return r, err
	}
	if err := json.Unmarshal(text, &r.known); err != nil {
		r.known = map[string]map[string]json.RawMessage{}
		return r, fmt.Errorf("reading %s: %w", memory.Path, err)
	}
	for stream, durables := range r.known {
		maps.DeleteFunc(durables, func(name string, text json.RawMessage) bool {
			info, err := decodeMeta(text)
			return err != nil || info.Durable != name
		})
		if durables == nil {
			delete(r.known, stream)
		}
	}
	return r, nil
}

func (r *record) meta(stream, durable string) []byte { return r.known[stream][durable] }

// save replaces the record and returns once it is on the disk.
func (r *record) save(next map[string]map[string]json.RawMessage) error {
	same := maps.EqualFunc(r.known, next, func(a, b map[string]json.RawMessage) bool {
		return maps.EqualFunc(a, b, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
	})
	if same || r.memory == nil {
		return nil
	}
	text, err := json.Marshal(next)
	if err == nil {
		err = r.memory.Save(text)
	}
	if err != nil {
		return fmt.Errorf("remembering the durables: %w", err)
	}
	r.known = next
	return nil
}

// Remember records the durables of the server. It does nothing if the server does not run.
func (r *Repairer) Remember(s *server.Server) error {
	now, err := r.look(s)
	if err != nil || now == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remember(now)
}

// remember records the durables of the server. It keeps the old entry of a durable whose
// configuration is being written now.
func (r *Repairer) remember(now streamsNow) error {
	next := map[string]map[string]json.RawMessage{}
	note := func(stream, name string, meta []byte) {
		if meta == nil {
			return
		}
		if next[stream] == nil {
			next[stream] = map[string]json.RawMessage{}
		}
		next[stream][name] = meta
	}
	for stream, known := range r.record.known {
		if _, ok := now[stream]; !ok && datafolder.Exists(filepath.Join(r.cfg.Streams, stream)) {
			next[stream] = known // it is about to be provisioned
		}
	}
	for stream, detail := range now {
		for _, c := range detail.Consumer {
			meta, info, err := readMeta(r.folder(stream, c.Name), stream, c.Name)
			switch {
			case err != nil:
				note(stream, c.Name, r.record.meta(stream, c.Name))
			case info.Durable == c.Name:
				note(stream, c.Name, meta)
			}
		}
	}
	for _, f := range r.found {
		note(f.stream, f.name, f.meta)
	}
	return r.record.save(next)
}
