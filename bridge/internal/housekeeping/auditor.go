package housekeeping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
)

const auditTimeout = 10 * time.Second

// AuditorConfig of an [Auditor]. Zero values are defaults.
type AuditorConfig struct {
	// Streams are audited.
	Streams []string
	// Kept are those of them that lose only their oldest messages, by age or by a [Janitor].
	Kept []string
	// Alone: no other process purges these streams, so that messages missing at the beginning
	// of a kept stream are a loss.
	Alone bool
	// Erased is how many messages were erased of kept streams, ever, as far as this process
	// knows: they are no loss. Nil is none.
	Erased func() uint64
	// Interval between two audits, default 10 s.
	Interval time.Duration
	Alarms   bridge.Alarmer
	Logger   *zap.Logger
}

// Auditor compares each stream with its last state in a [Checkpoint], because the server does
// not report lost messages, for example after a restart with a damaged file. It also measures
// how full the streams are.
type Auditor struct {
	js         jetstream.JetStream
	checkpoint *Checkpoint
	cfg        AuditorConfig
	gauges     *gauges
	lasting    *lasting.Alarms
	behind     map[string]time.Time // since when replicated streams stand behind, by name
}

// NewAuditor returns an auditor that is not running yet.
func NewAuditor(js jetstream.JetStream, checkpoint *Checkpoint, cfg AuditorConfig) *Auditor {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	return &Auditor{js: js, checkpoint: checkpoint, cfg: cfg, gauges: newGauges(cfg.Streams), lasting: lasting.New(cfg.Alarms), behind: map[string]time.Time{}}
}

// Run audits at each interval until ctx ends, and then once more. It returns nil.
func (a *Auditor) Run(ctx context.Context) error {
	_ = every(ctx, a.cfg.Interval, func() { a.Audit(ctx) })
	a.Audit(context.WithoutCancel(ctx))
	return nil
}

// Audit compares every stream once.
func (a *Auditor) Audit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	var missing []bridge.Alarm
	reached := true
	for _, name := range a.cfg.Streams {
		stream, err := a.js.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			if was, known := a.checkpoint.seen(name); known {
				alarm := alarmOf(bridge.AlarmStreamRemoved, name, "a stream is not there any more", was, nil)
				alarm.Over = name + ": the stream is there again"
				missing = append(missing, alarm)
			}
		case err != nil:
			reached = false
			// The readiness check reports an unreachable server.
			a.cfg.Logger.Debug("a stream could not be audited", zap.String("stream", name), zap.Error(err))
		default:
			a.compare(name, stream.CachedInfo())
		}
	}
	if reached {
		a.lasting.Look(missing...)
	}
	if err := a.checkpoint.Save(); err != nil {
		a.cfg.Logger.Warn("the checkpoint of the streams could not be saved", zap.Error(err))
	}
}

func (a *Auditor) compare(name string, info *jetstream.StreamInfo) {
	now := time.Now()
	a.gauges.observe(name, info, now)
	s := info.State
	is := seen{Created: info.Created, First: s.FirstSeq, Last: s.LastSeq, Messages: s.Msgs, FirstTime: s.FirstTime, At: now}
	was, known := a.checkpoint.seen(name)
	if known && a.lags(name, info, was, is) {
		return
	}
	allowed := a.allow(name, was, &is, known)
	if known {
		a.judge(name, was, is, allowed, info.Config.MaxAge)
	}
	a.checkpoint.change(func(p *content) {
		is.PurgedTo = p.Streams[name].PurgedTo
		if same := is; known && is.Last == was.Last && is.Messages == was.Messages {
			if same.At = was.At; same == was {
				return // an idle stream needs no write
			}
		}
		if known && !is.Created.Equal(was.Created) && is.Last < was.Last {
			is.PurgedTo = 0 // sequences start again at 1
			delete(p.Scrub, name)
		}
		p.Streams[name] = is
	})
}

// lagTime is how long a replicated stream may stand behind where it was seen. Its new leader has
// not applied everything yet when it first answers, and one that is cut off answers too.
const lagTime = time.Minute

// lags reports whether the answer about a replicated stream may come from a server that lacks the
// newest messages. Nothing is learned of such an answer.
func (a *Auditor) lags(name string, info *jetstream.StreamInfo, was, is seen) bool {
	replicated := info.Cluster != nil && len(info.Cluster.Replicas) > 0
	if !replicated || is.Last >= was.Last || !is.Created.Equal(was.Created) {
		delete(a.behind, name)
		return false
	}
	if _, known := a.behind[name]; !known {
		a.behind[name] = is.At
	}
	return is.At.Sub(a.behind[name]) < lagTime
}

// eraseTime is how long an erasure may take from when it is known to when its messages are gone.
const eraseTime = 10 * time.Minute

// allow returns how many messages may be missing because they were erased, and notes in is how
// many of them are accounted for: those that are missing now, and what did not go in time.
func (a *Auditor) allow(name string, was seen, is *seen, known bool) (allowed uint64) {
	if a.cfg.Erased == nil || !slices.Contains(a.cfg.Kept, name) {
		return 0
	}
	total := a.cfg.Erased()
	if !known || total <= was.Erased {
		is.Erased = total
		return 0
	}
	allowed = total - was.Erased
	accounted := min(allowed, missing(was, *is))
	is.Erased, is.ErasingSince = was.Erased+accounted, was.ErasingSince
	switch {
	case accounted == allowed:
		is.ErasingSince = time.Time{}
	case was.ErasingSince.IsZero():
		is.ErasingSince = is.At.UTC()
	case is.At.Sub(was.ErasingSince) > eraseTime:
		is.Erased, is.ErasingSince = total, time.Time{}
	}
	return allowed
}

// missing is how many messages behind the first one a stream has lost.
func missing(was, is seen) uint64 {
	left := is.First - min(was.First, is.First)
	should := was.Messages + is.Last - min(was.Last, is.Last)
	return should - min(should, is.Messages+left)
}

// judge raises at most one alarm, the most specific one. So many messages may be missing.
func (a *Auditor) judge(name string, was, is seen, allowed uint64, maxAge time.Duration) {
	switch {
	case is.Last < was.Last && !is.Created.Equal(was.Created):
		a.raise(bridge.AlarmStoreBackwards, name, "a stream was made anew, what it held is gone: restore a backup if there is one", was, &is)
		return
	case is.Last < was.Last:
		a.raise(bridge.AlarmStoreBackwards, name, "a stream has lost its newest messages, its files are damaged or were replaced: "+
			"restore a backup if there is one, and look at the disk", was, &is)
		return
	case !is.Created.Equal(was.Created):
		a.raise(bridge.AlarmStreamRemoved, name, "a stream was made anew, and its messages are still there", was, &is)
	}
	if !slices.Contains(a.cfg.Kept, name) {
		return
	}
	if n := missing(was, is); n > allowed {
		a.raise(bridge.AlarmStoreMissing, name, fmt.Sprintf("a stream has %d messages fewer than it should have: "+
			"somebody removed them, or its files are damaged; the scrub names them", n-allowed), was, &is)
		return
	}
	aged := maxAge > 0 && was.Messages > 0 && is.At.Sub(was.FirstTime) >= maxAge
	if a.cfg.Alone && is.First > max(was.First, was.PurgedTo) && was.Messages > 0 && !aged && allowed == 0 {
		a.raise(bridge.AlarmStoreMissing, name, "a stream has lost its oldest messages, which neither age nor Hookspan removed: "+
			"somebody purged it, or its files are damaged", was, &is)
	}
}

func (a *Auditor) raise(kind, stream, text string, was seen, is *seen) {
	a.cfg.Alarms.Raise(alarmOf(kind, stream, text, was, is))
}

func alarmOf(kind, stream, text string, was seen, is *seen) bridge.Alarm {
	details := map[string]any{
		"stream": stream, "last_before": was.Last, "first_before": was.First, "messages_before": was.Messages,
		"created_before": was.Created, "seen": was.At,
	}
	if is != nil {
		details["last"], details["first"], details["messages"], details["created"] = is.Last, is.First, is.Messages, is.Created
	}
	return bridge.Alarm{Kind: kind, Subject: stream, Text: stream + ": " + text, Details: details}
}
