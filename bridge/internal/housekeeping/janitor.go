package housekeeping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// How full the stream of events is when something is done about it, in percent
// of its limit.
const (
	cleanFrom = 80 // handled events are purged
	cleanTo   = 70
	giveUpAt  = 95 // so are unhandled ones, after they were recorded
	giveUpTo  = 90
)

const (
	defaultInterval = 10 * time.Second
	tickTimeout     = time.Minute
	// purgeStep is what one purge removes, in bytes. The stream takes no event
	// while the server purges: about 20 ms here, 60 to 75 ms for four times it.
	purgeStep = 16 << 20
	// Events that nobody has handled are recorded this long before they age
	// out, at most and as a share of the stream's maximum age.
	longestMargin, marginShare = time.Hour, 10
)

// JanitorConfig of a [Janitor]. Zero values are defaults.
type JanitorConfig struct {
	Names bridge.Names
	// Young is the age below which no event is ever removed, default and meant
	// to be the stream's duplicate window: the server knows the ids of those
	// events only as long as they are there.
	Young time.Duration
	// Interval between two rounds, default 10 s.
	Interval time.Duration
	// BeforePurge, if set, is told that what is before sequence to is about to
	// be removed, all of it or its oldest part.
	BeforePurge func(to uint64)
	Alarms      bridge.Alarmer
	Logger      *zap.Logger
}

// Janitor keeps room in the stream of events.
//
// From 80 % on it removes what every durable is past, down to 70 %. What one of
// them has not handled is removed at 95 % only, down to 90 %, and only after it
// was recorded in the stream of dead letters; the same record is made of what
// would otherwise age out. See [Expired]. A consumer that is not durable holds
// nothing back. When there is no durable at all nothing counts as handled, and
// the record is in nobody's name.
type Janitor struct {
	js  jetstream.JetStream
	cfg JanitorConfig
	now func() time.Time
}

// NewJanitor returns a janitor that is not running yet.
func NewJanitor(js jetstream.JetStream, cfg JanitorConfig) *Janitor {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	return &Janitor{js: js, cfg: cfg, now: time.Now}
}

// Run makes rounds until ctx ends, and returns nil.
func (j *Janitor) Run(ctx context.Context) error {
	return every(ctx, j.cfg.Interval, func() {
		ctx, cancel := context.WithTimeout(ctx, tickTimeout)
		defer cancel()
		if err := j.Tick(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Logger.Warn("making room in the stream of events failed, trying again", zap.Error(err))
		}
	})
}

// Tick makes one round. Whatever it could not find out it takes for unhandled.
func (j *Janitor) Tick(ctx context.Context) error {
	stream, err := j.js.Stream(ctx, j.cfg.Names.EventsStream())
	if err != nil {
		return fmt.Errorf("looking up the stream of events: %w", err)
	}
	r := &round{Janitor: j, stream: stream, info: stream.CachedInfo(), now: j.now()}
	crowded, aging := r.over(cleanFrom), r.aging()
	if !crowded && !aging {
		return nil
	}
	if r.durables, err = r.listDurables(ctx); err != nil {
		return err
	}
	if aging {
		if err := r.recordAging(ctx); err != nil {
			return err
		}
	}
	if crowded {
		return r.makeRoom(ctx)
	}
	return nil
}

// round is one round of a janitor. The state of the stream was read before that
// of the durables: what is stored in between is nobody's to remove.
type round struct {
	*Janitor
	stream   jetstream.Stream
	info     *jetstream.StreamInfo
	now      time.Time
	durables []durable
}

// over says whether the stream is that full.
func (r *round) over(percent uint64) bool {
	return r.info.Config.MaxBytes > 0 && r.info.State.Bytes >= r.bytes(percent)
}

func (r *round) bytes(percent uint64) uint64 { return uint64(r.info.Config.MaxBytes) / 100 * percent }

func (r *round) makeRoom(ctx context.Context) error {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("looking at the stream of events: %w", err)
	}
	if !info.Created.Equal(r.info.Created) {
		return errMadeAnew
	}
	window := cmp.Or(r.cfg.Young, r.info.Config.Duplicates)
	young, err := r.firstSince(ctx, r.now.Add(-window))
	if err != nil {
		return err
	}
	handled := young
	for _, d := range r.durables {
		handled = min(handled, d.next)
	}
	if err := r.purge(ctx, handled, r.bytes(cleanTo)); err != nil {
		return err
	}
	if !r.over(giveUpAt) {
		return nil
	}
	to := min(r.reaching(r.bytes(giveUpTo)), young)
	if to > r.info.State.FirstSeq {
		for i := range r.durables {
			if err := r.record(ctx, &r.durables[i], to, causeRoom); err != nil {
				r.alarmFull("the oldest events cannot be recorded as lost in the stream of dead letters, and so they stay: give it room")
				return err
			}
		}
		if err := r.purge(ctx, to, r.bytes(giveUpTo)); err != nil {
			return err
		}
	}
	if r.over(giveUpAt) {
		r.alarmFull("its events are too young to be removed, their ids are needed to know duplicates: choose a larger nats.events.max_bytes")
	}
	return nil
}

func (r *round) alarmFull(reason string) {
	r.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmStoreFull, Subject: r.info.Config.Name,
		Text:    "the stream of events is nearly full and will refuse webhooks: " + reason,
		Details: map[string]any{"bytes": r.info.State.Bytes, "max_bytes": r.info.Config.MaxBytes, "messages": r.info.State.Msgs},
	})
}

// errMadeAnew ends a round: what it knows is of a stream that is gone, whose
// sequences mean other events now.
var errMadeAnew = errors.New("the stream of events was removed and made anew meanwhile")

// purge removes what is before sequence to until no more than goal bytes are
// left.
func (r *round) purge(ctx context.Context, to, goal uint64) error {
	told := false
	for r.info.State.Bytes > goal {
		first, bytes := r.info.State.FirstSeq, r.info.State.Bytes
		step := min(to, r.reaching(max(goal, bytes-min(bytes, purgeStep))))
		if step <= first {
			return nil
		}
		if r.cfg.BeforePurge != nil && !told {
			r.cfg.BeforePurge(to)
			told = true
		}
		if err := r.stream.Purge(ctx, jetstream.WithPurgeSequence(step)); err != nil {
			return fmt.Errorf("purging events before sequence %d: %w", step, err)
		}
		info, err := r.stream.Info(ctx)
		if err != nil {
			return fmt.Errorf("looking at the stream of events: %w", err)
		}
		if !info.Created.Equal(r.info.Created) {
			return errMadeAnew
		}
		r.cfg.Logger.Info("removed events", zap.Uint64("before_sequence", step),
			zap.Uint64("bytes_before", bytes), zap.Uint64("bytes_after", info.State.Bytes))
		r.info = info
	}
	return nil
}

// reaching estimates before which sequence everything must go so that no more
// than goal bytes are left, from the mean size of an event.
func (r *round) reaching(goal uint64) uint64 {
	s := r.info.State
	if s.Bytes <= goal || s.Msgs == 0 {
		return s.FirstSeq
	}
	span := float64(s.LastSeq - s.FirstSeq + 1)
	return s.FirstSeq + min(uint64(span*float64(s.Bytes-goal)/float64(s.Bytes))+1, s.LastSeq-s.FirstSeq+1)
}
