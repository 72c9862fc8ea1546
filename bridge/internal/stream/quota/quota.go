// Package quota bounds what programs of other teams may have stored, so that they never
// take the room or the time of webhooks.
package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// allPart and eachPart are which part of the room for events all programs together,
	// and one of them, may fill within window. That is as long as nothing is purged:
	// the janitor keeps whatever is younger than the duplicate window.
	allPart, eachPart = 8, 32
	window            = 2 * time.Hour
	// leastBytes is what one of them may fill of a small stream, and all of them twice.
	leastBytes = 12 << 20
	// fullPercent is how full the stream of events may be for others. The janitor begins at
	// 80 to remove what everybody has handled: what is above is behind one who has not.
	fullPercent = 90
	// believed is how long what is known of the stream is believed.
	believed = time.Second
	// maxHolders is how many programs are told apart.
	maxHolders = 1024
)

// ErrOver is wrapped by what [Quota.Take] returns when the programs of others have used
// up what is theirs.
var ErrOver = errors.New("over the quota of other programs")

// Rate is how many requests a second are allowed, and how many at once after a rest.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Config of a [Quota].
type Config struct {
	Names bridge.Names
	// What is counted, in the words of an alarm, such as "announcements of predictions".
	What string
	// All bounds every program together, Each one of them.
	All, Each Rate
	Alarms    bridge.Alarmer
}

// Quota counts what programs of other teams have stored in the stream of events: by
// requests, and by bytes as a part of the stream's limit. Each process has its own. It
// is safe for concurrent use.
type Quota struct {
	js  jetstream.JetStream
	cfg Config

	mu      sync.Mutex
	looked  time.Time
	limit   int64 // of the stream of events, for which the buckets were made
	full    bool
	err     error // why the stream cannot be looked at
	buckets *Buckets[string]
}

// New returns a quota for the stream of events that js reaches.
func New(js jetstream.JetStream, cfg Config) *Quota { return &Quota{js: js, cfg: cfg} }

// Take returns nil when the program may have a message of so many bytes stored. The
// error wraps [ErrOver], and an alarm is raised then, or says why the stream of events
// cannot be looked at, which is done once a second.
func (q *Quota) Take(ctx context.Context, program string, bytes int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Sub(q.looked) >= believed {
		q.err = q.look(ctx)
		q.looked = now
	}
	if q.err != nil {
		return q.err
	}
	if q.full {
		why := fmt.Sprintf("the stream of events is more than %d %% full, and the rest is for webhooks", fullPercent)
		q.raise("room for "+q.cfg.What, program, q.cfg.What+" of other programs are refused: "+why+". See with hookspan consumers list which consumer is behind, or raise nats.events.max_bytes")
		return fmt.Errorf("%w: %s", ErrOver, why)
	}
	why := ""
	switch q.buckets.Take(program, bytes, now) {
	case Allowed:
		return nil
	case OverOwn:
		why = fmt.Sprintf("this program may add %v in a second and 1/%d of the room for events in %v", q.cfg.Each.PerSecond, eachPart, window)
	case OverShared:
		why = fmt.Sprintf("all programs together may add %v in a second and 1/%d of the room for events in %v", q.cfg.All.PerSecond, allPart, window)
	}
	q.raise(q.cfg.What, program, "other programs ask for more "+q.cfg.What+" than they may, and some are refused so that webhooks keep their room: "+why+
		". Find the program that repeats itself, the details name one, or raise nats.events.max_bytes")
	return fmt.Errorf("%w: %s", ErrOver, why)
}

func (q *Quota) raise(what, program, text string) {
	q.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: what, Text: text, Details: map[string]any{"program": printable.Truncate(program, maxProgramInAlarm)},
	})
}

const maxProgramInAlarm = 256

// look adapts the buckets to the stream.
func (q *Quota) look(ctx context.Context) error {
	stream, err := q.js.Stream(ctx, q.cfg.Names.EventsStream())
	if err != nil {
		return fmt.Errorf("looking at the stream of events: %w", err)
	}
	info := stream.CachedInfo()
	limit := info.Config.MaxBytes
	if limit <= 0 { // somebody else's stream: as the default
		limit = 10 << 30
	}
	q.full = info.Config.MaxBytes > 0 && info.State.Bytes > uint64(limit)/100*fullPercent
	if q.buckets == nil || limit != q.limit {
		q.limit = limit
		q.buckets = NewBuckets[string](q.cfg.All.of(max(limit/allPart, 2*leastBytes)), q.cfg.Each.of(max(limit/eachPart, leastBytes)), maxHolders)
	}
	return nil
}

func (r Rate) of(bytes int64) Rates {
	return Rates{Entries: r.PerSecond, EntriesBurst: r.Burst, Bytes: float64(bytes) / window.Seconds(), BytesBurst: int(bytes)}
}
