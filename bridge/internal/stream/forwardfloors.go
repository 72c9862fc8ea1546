package stream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// known is what the forwarder knows of a stream.
type known struct {
	// key tells the stream from another one of the same name: one that was made anew, or that
	// of another NATS.
	key string
	// acked is the highest sequence that the stream has acknowledged.
	acked uint64
}

// learn makes sure that the stream is known.
func (f *Forwarder) learn(ctx context.Context, name string) error {
	f.mu.Lock()
	there := f.streams[name] != nil
	f.mu.Unlock()
	if there {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.publisher.timeout)
	defer cancel()
	s, err := f.publisher.js.Stream(ctx, name)
	if err != nil {
		f.publisher.noteUnserved(err)
		return fmt.Errorf("looking at stream %s: %w", name, err)
	}
	f.learned(s.CachedInfo())
	return nil
}

// learned notes which stream has that name now. What this process stores there gets higher
// sequences than the stream has now.
func (f *Forwarder) learned(info *jetstream.StreamInfo) {
	key := info.Config.Name + "@" + strconv.FormatInt(info.Created.UnixNano(), 36)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.streams[info.Config.Name]; now == nil || now.key != key {
		f.streams[info.Config.Name] = &known{key: key, acked: info.State.LastSeq}
	}
}

// advance notes that the stream has acknowledged a new message of the block. A sequence that
// the stream had given before is of one that was made anew or restored: what was known of the
// old one counts no more.
func (f *Forwarder) advance(b *block, name string, seq uint64) {
	f.mu.Lock()
	s := f.streams[name]
	back := false
	if s != nil {
		floor, known := b.floor[s.key]
		back = known && seq <= floor
		s.acked = max(s.acked, seq)
	}
	if back {
		delete(f.streams, name)
	}
	f.mu.Unlock()
	if back {
		f.publisher.forget()
	}
}

// floor returns behind which sequence a stream has what is not settled yet; false if that is
// unknown.
func (f *Forwarder) floor(name string) (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[name]
	switch {
	case s == nil:
		return 0, false
	case !f.past:
		seq, noted := f.atOpen[s.key]
		return seq, noted
	}
	return f.floorOf(name, s)
}

// floorOf is that of the first block in flight to the stream: those of later ones are not lower.
// It is unknown when that block was begun before the stream was known. The caller holds the
// lock.
func (f *Forwarder) floorOf(name string, s *known) (uint64, bool) {
	for _, b := range f.blocks {
		if b.streams[name] {
			seq, known := b.floor[s.key]
			return seq, known
		}
	}
	return s.acked, true
}

// floors returns the floors of all streams, by key. They stay as they were while records of an
// earlier process are left: the streams may have these anywhere behind. The caller holds the
// lock.
func (f *Forwarder) floors() map[string]uint64 {
	if !f.past {
		return f.atOpen
	}
	out := make(map[string]uint64, len(f.streams))
	for name, s := range f.streams {
		if seq, known := f.floorOf(name, s); known {
			out[s.key] = seq
		}
	}
	return out
}
