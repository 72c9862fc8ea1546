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
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Percentages of the byte limit at which the janitor acts.
const (
	cleanFrom = 80 // purge handled events
	cleanTo   = 70
	giveUpAt  = 95 // purge unhandled events too, after recording them
	giveUpTo  = 90
)

const (
	defaultInterval = 10 * time.Second
	tickTimeout     = time.Minute
	// purgeStep bounds one purge, in bytes. The stream takes no event during a purge: about 20
	// ms for this size, 60 to 75 ms for four times as much.
	purgeStep = 16 << 20
	// The janitor records unhandled events this long before they age out: at most an hour, and
	// at most this part of the maximum age of the stream.
	longestMargin, marginShare = time.Hour, 10
)

// JanitorConfig of a [Janitor]. Zero values are defaults.
type JanitorConfig struct {
	Names bridge.Names
	// Young is the age below which the janitor removes no event. It should be the duplicate
	// window of the stream, which is the default: the server knows ids only of events that are
	// stored.
	Young time.Duration
	// Interval between two rounds, default 10 s.
	Interval time.Duration
	// BeforePurge, if set, is called before events below sequence to are removed, all of them
	// or the oldest part.
	BeforePurge func(to uint64)
	Alarms      bridge.Alarmer
	Logger      *zap.Logger
}

// Janitor keeps room in the stream of events.
//
// From 80 % full on, it removes what every durable has handled and every view has folded, down
// to 70 %. It removes other events only from 95 % on, down to 90 %, and first records them in the stream of
// dead letters, as it does for events about to age out; see [Expired]. A consumer that is not
// durable holds nothing back. Without any durable no event counts as handled, and the record
// names no consumer.
type Janitor struct {
	js  jetstream.JetStream
	cfg JanitorConfig
	now func() time.Time

	lasting *lasting.Alarms
}

// NewJanitor returns a janitor that is not running yet.
func NewJanitor(js jetstream.JetStream, cfg JanitorConfig) *Janitor {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	return &Janitor{js: js, cfg: cfg, now: time.Now, lasting: lasting.New(cfg.Alarms)}
}

// Run makes a round at each interval until ctx ends, and returns nil.
func (j *Janitor) Run(ctx context.Context) error {
	return every(ctx, j.cfg.Interval, func() {
		ctx, cancel := context.WithTimeout(ctx, tickTimeout)
		defer cancel()
		if err := j.Tick(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Logger.Warn("making room in the stream of events failed, trying again", zap.Error(err))
		}
	})
}

// Tick makes one round. It treats as unhandled whatever it cannot determine.
func (j *Janitor) Tick(ctx context.Context) error {
	stream, err := streamread.Open(ctx, j.js, j.cfg.Names.EventsStream())
	if err != nil {
		return fmt.Errorf("looking up the stream of events: %w", err)
	}
	r := &round{Janitor: j, stream: stream, info: stream.CachedInfo(), now: j.now()}
	crowded, aging := r.over(cleanFrom), r.aging()
	if !crowded {
		j.lasting.Look()
	}
	if !crowded && !aging {
		return nil
	}
	if r.views, err = r.listViews(ctx); err != nil {
		return err
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
		full, err := r.makeRoom(ctx)
		if err == nil || full != "" {
			j.lasting.Look(r.alarms(full)...)
		}
		return err
	}
	return nil
}

// round is one round of a janitor. It reads the state of the stream before that of the
// durables, so that it never removes events stored in between.
type round struct {
	*Janitor
	stream   *streamread.Stream
	info     *jetstream.StreamInfo
	now      time.Time
	durables []durable
	views    []uint64 // the first sequence that each view may still need
}

func (r *round) over(percent uint64) bool {
	return r.info.Config.MaxBytes > 0 && r.info.State.Bytes >= r.bytes(percent)
}

func (r *round) bytes(percent uint64) uint64 { return uint64(r.info.Config.MaxBytes) / 100 * percent }

// makeRoom returns why the stream stays nearly full, empty when it does not.
func (r *round) makeRoom(ctx context.Context) (full string, err error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("looking at the stream of events: %w", err)
	}
	if !info.Created.Equal(r.info.Created) {
		return "", errMadeAnew
	}
	window := cmp.Or(r.cfg.Young, r.info.Config.Duplicates)
	young, err := r.firstSince(ctx, r.now.Add(-window))
	if err != nil {
		return "", err
	}
	handled := young
	for _, d := range r.durables {
		handled = min(handled, d.next)
	}
	for _, next := range r.views {
		handled = min(handled, next)
	}
	if err := r.purge(ctx, handled, r.bytes(cleanTo)); err != nil {
		return "", err
	}
	if !r.over(giveUpAt) {
		return "", nil
	}
	to := min(r.reaching(r.bytes(giveUpTo)), young)
	if to > r.info.State.FirstSeq {
		for i := range r.durables {
			if err := r.record(ctx, &r.durables[i], to, causeRoom); err != nil {
				return "the oldest events cannot be recorded as lost in the stream of dead letters, and so they stay: give it room", err
			}
		}
		if err := r.purge(ctx, to, r.bytes(giveUpTo)); err != nil {
			return "", err
		}
	}
	if r.over(giveUpAt) {
		return "its events are too young to be removed, their ids are needed to know duplicates: choose a larger nats.events.max_bytes", nil
	}
	return "", nil
}

// alarms returns the alarm of a stream that stays nearly full, if it does.
func (r *round) alarms(reason string) []bridge.Alarm {
	if reason == "" {
		return nil
	}
	return []bridge.Alarm{{
		Kind: bridge.AlarmStoreFull, Subject: r.info.Config.Name, Over: "the stream of events has room again",
		Text:    "the stream of events is nearly full and will refuse webhooks: " + reason,
		Details: map[string]any{"bytes": r.info.State.Bytes, "max_bytes": r.info.Config.MaxBytes, "messages": r.info.State.Msgs},
	}}
}

// errMadeAnew ends a round whose stream was removed and created again: sequences now mean other
// events.
var errMadeAnew = errors.New("the stream of events was removed and created again meanwhile")

// purge removes events before sequence to until at most goal bytes are left.
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

// reaching estimates from the mean event size before which sequence to purge so that at most
// goal bytes are left.
func (r *round) reaching(goal uint64) uint64 {
	s := r.info.State
	if s.Bytes <= goal || s.Msgs == 0 {
		return s.FirstSeq
	}
	span := float64(s.LastSeq - s.FirstSeq + 1)
	return s.FirstSeq + min(uint64(span*float64(s.Bytes-goal)/float64(s.Bytes))+1, s.LastSeq-s.FirstSeq+1)
}
