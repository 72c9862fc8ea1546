// Package quota bounds what programs of other teams may store, so that they never take the room
// or the time of webhooks.
package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// allPart and eachPart are the parts of the stream of events that all programs together,
	// and each, may fill within window. The window is as long as events stay: the janitor
	// purges none younger than the duplicate window.
	allPart, eachPart = 8, 32
	window            = 2 * time.Hour
	// leastBytes is what each may fill of a small stream; all together may fill twice as much.
	leastBytes = 12 << 20
	// fullPercent is how full the stream of events may be for other programs. The janitor
	// begins at 80 to purge handled events: more than that is unhandled by some durable.
	fullPercent = 90
	// believed is how long the state of the stream is cached.
	believed = time.Second
	// maxHolders bounds the programs that are told apart.
	maxHolders = 1024
)

// ErrOver is wrapped by [Quota.Take] when other programs have used up their quota.
var ErrOver = errors.New("over the quota of other programs")

// Rate is the number of requests per second, and their burst after a rest.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Config of a [Quota].
type Config struct {
	Names bridge.Names
	// What names the counted requests in alarms, such as "announcements of predictions".
	What string
	// All bounds all programs together, Each one of them.
	All, Each Rate
	Alarms    bridge.Alarmer
}

// Quota limits what programs of other teams store in the stream of events: by requests, and by
// bytes as a part of the stream's limit. Each process has its own. It is safe for concurrent
// use.
type Quota struct {
	js  jetstream.JetStream
	cfg Config

	mu      sync.Mutex
	looked  time.Time
	limit   int64 // of the stream of events, for which the buckets were made
	full    bool
	err     error // why the state of the stream is unknown
	buckets *Buckets[string]
}

// New returns a quota for the stream of events that js reaches.
func New(js jetstream.JetStream, cfg Config) *Quota { return &Quota{js: js, cfg: cfg} }

// Take returns nil when the program may store a message of that many bytes. Otherwise the error
// wraps [ErrOver], and an alarm is raised, or says why the state of the stream is unknown. Take
// reads that state once a second.
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
	q.cfg.Alarms.Raise(lasting.Again(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: what, Text: text, Details: map[string]any{"program": printable.Truncate(program, maxProgramInAlarm)},
	}, "no program has asked for more "+what+" than it may"))
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
	if limit <= 0 { // a stream of somebody else: as the default
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
