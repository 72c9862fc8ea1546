package stream

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fullAge is how long the last known fill of a full stream is believed.
const fullAge = time.Second

// emptyEnough is the room, in bytes, from which on a stream is no longer watched.
const emptyEnough = 16 << 20

// fullStreams knows which streams refused a record because they were full. What goes there is
// refused while they are, so that a sender is not told that it is kept.
type fullStreams struct {
	js jetstream.JetStream

	mu   sync.Mutex
	fill map[string]*fill // by stream, of those that were full
}

type fill struct {
	at   time.Time
	room uint64
}

func newFullStreams(js jetstream.JetStream) *fullStreams {
	return &fullStreams{js: js, fill: map[string]*fill{}}
}

// add notes that the stream was full just now.
func (s *fullStreams) add(stream string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill[stream] = &fill{at: time.Now()}
}

// has reports whether a stream that was full has no room for so many bytes. It asks the stream
// at most once a second.
func (s *fullStreams) has(ctx context.Context, stream string, bytes int) bool {
	s.mu.Lock()
	known := s.fill[stream]
	s.mu.Unlock()
	if known == nil {
		return false
	}
	if time.Since(known.at) >= fullAge {
		known = s.look(ctx, stream, known)
	}
	return known.room < uint64(bytes)
}

func (s *fullStreams) look(ctx context.Context, stream string, last *fill) *fill {
	found, err := s.js.Stream(ctx, stream)
	now := &fill{at: time.Now(), room: last.room} // a stream that does not answer is not asked for each record
	if err == nil {
		now.room = roomIn(found.CachedInfo())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill[stream] = now
	if now.room > emptyEnough {
		delete(s.fill, stream)
	}
	return now
}

func roomIn(info *jetstream.StreamInfo) uint64 {
	if most := info.Config.MaxBytes; most < 0 || uint64(most) > info.State.Bytes {
		return uint64(most) - info.State.Bytes // without a limit a huge number
	}
	return 0
}
