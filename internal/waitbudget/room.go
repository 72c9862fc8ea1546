// Package waitbudget measures the room for events that wait for their next attempt.
package waitbudget

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// believed is how long the measured room is cached.
const believed = 5 * time.Second

// ErrNoRoom is wrapped by [Room.Take] when waiting events may not take more space.
var ErrNoRoom = errors.New("too many events wait for their next attempt")

// Room is the space of the stream of waiting events. The stream has no limit itself: with one
// it would drop acknowledged schedules (nats-server 2.15.2). So callers ask for room before
// they let an event wait. It is safe for concurrent use.
type Room struct {
	js    jetstream.JetStream
	names bridge.Names

	mu     sync.Mutex
	looked time.Time
	free   int64
	err    error // why nothing can wait there
}

// NewRoom returns the room of the stream that js reaches.
func NewRoom(js jetstream.JetStream, names bridge.Names) *Room { return &Room{js: js, names: names} }

// Take returns nil when a message of that many bytes may wait, and counts them. It reads the
// size of the stream every 5 s, so several processes may together exceed the room a little. The
// error wraps [ErrNoRoom], or says why the size is unknown.
func (r *Room) Take(ctx context.Context, bytes int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) >= believed {
		r.free, r.err = r.look(ctx)
		r.looked = time.Now()
	}
	if r.err != nil {
		return r.err
	}
	if r.free < int64(bytes) {
		return ErrNoRoom
	}
	r.free -= int64(bytes)
	return nil
}

func (r *Room) look(ctx context.Context) (int64, error) {
	stream, err := r.js.Stream(ctx, r.names.LaterStream())
	if err != nil {
		return 0, fmt.Errorf("looking at the stream of waiting events: %w", err)
	}
	info := stream.CachedInfo()
	limit, err := strconv.ParseInt(info.Config.Metadata[bridge.LaterLimitKey], 10, 64)
	if err != nil {
		return math.MaxInt64, nil //nolint:nilerr // without a limit
	}
	return limit - int64(info.State.Bytes), nil
}
