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

// record remembers, outside of the server's folder, which durables there are
// and their configurations: stream, durable, its meta.inf. A durable whose folder is
// gone, or whose configuration cannot be read, is made of that.
type record struct {
	memory *datafolder.Memory // nil: nothing is remembered
	known  map[string]map[string]json.RawMessage
}

// openRecord returns an empty record with the error when the old one cannot be
// read.
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

// meta is what is known of a durable, or nil.
func (r *record) meta(stream, durable string) []byte { return r.known[stream][durable] }

// save replaces what is known by next, and returns once that is on the disk.
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

// Remember records the durables that the server has. A server that does not run is not
// asked.
func (r *Repairer) Remember(s *server.Server) error {
	now, err := r.look(s)
	if err != nil || now == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remember(now)
}

// remember records the durables that the server has, but for those whose
// configuration is being written right now: what is known of them stays.
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
