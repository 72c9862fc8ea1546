package housekeeping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Memory keeps one small text outside JetStream. Save returns when the text is durable. Load
// returns nothing when none was saved. Calls do not overlap.
type Memory interface {
	Load() ([]byte, error)
	Save(text []byte) error
}

// Checkpoint is the last known state of the streams, kept outside JetStream so that both can be
// compared. It is safe for concurrent use.
type Checkpoint struct {
	memory Memory

	mu      sync.Mutex
	saved   []byte
	content content
}

type content struct {
	// Store names the store of the streams.
	Store   string          `json:"store"`
	Streams map[string]seen `json:"streams"`
	// Scrub is the next sequence for the scrub to read, by stream.
	Scrub map[string]uint64 `json:"scrub,omitempty"`
}

// seen is the state of a stream at the last audit.
type seen struct {
	Created  time.Time `json:"created"`
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Messages uint64    `json:"messages"`
	// FirstTime is when the first message was stored.
	FirstTime time.Time `json:"first_time"`
	// PurgedTo: the janitor may have removed every message before this sequence.
	PurgedTo uint64 `json:"purged_to,omitempty"`
	// Erased is how many erased messages are accounted for. Since ErasingSince there are more
	// that may be missing soon.
	Erased       uint64    `json:"erased,omitempty"`
	ErasingSince time.Time `json:"erasing_since,omitzero"`
	// At is the time of that audit.
	At time.Time `json:"at"`
}

// OpenCheckpoint reads the checkpoint of that store from memory, and ignores that of another
// store. With an error the returned checkpoint is empty and usable; losses before this start go
// unnoticed then.
func OpenCheckpoint(memory Memory, store string) (*Checkpoint, error) {
	b := &Checkpoint{memory: memory, content: content{Store: store, Streams: map[string]seen{}, Scrub: map[string]uint64{}}}
	text, err := memory.Load()
	if err != nil {
		return b, err
	}
	if len(text) == 0 {
		return b, nil
	}
	read := content{}
	if err := json.Unmarshal(text, &read); err != nil {
		return b, fmt.Errorf("reading the checkpoint of the streams: %w", err)
	}
	if read.Store != store {
		return b, nil
	}
	maps.Copy(b.content.Streams, read.Streams)
	maps.Copy(b.content.Scrub, read.Scrub)
	b.saved = text
	return b, nil
}

// Purging saves that the janitor may remove every message before sequence to. It must be called
// before the purge: after a crash the purge would otherwise look like a loss.
func (b *Checkpoint) Purging(stream string, to uint64) error {
	b.change(func(p *content) {
		was := p.Streams[stream]
		was.PurgedTo = max(was.PurgedTo, to)
		p.Streams[stream] = was
	})
	return b.Save()
}

func (b *Checkpoint) seen(stream string) (seen, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.content.Streams[stream]
	return p, ok && !p.At.IsZero()
}

func (b *Checkpoint) change(do func(*content)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do(&b.content)
}

// Save writes the checkpoint if it has changed.
func (b *Checkpoint) Save() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, err := json.Marshal(b.content)
	if err != nil {
		return err
	}
	if bytes.Equal(text, b.saved) {
		return nil
	}
	if err := b.memory.Save(text); err != nil {
		return fmt.Errorf("saving the checkpoint of the streams: %w", err)
	}
	b.saved = text
	return nil
}
