package poller

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/fold"
	"github.com/hookspan/hookspan/internal/backoff"
)

// rescue is the time that is left to whoever keeps the outputs.
const rescue = 24 * time.Hour

// timings are the times of a reconciler that nobody configures.
type timings struct {
	// unknown is how long a prediction may take of which nothing is known.
	unknown time.Duration
	// backoff is the shortest time between a first and a second poll of one
	// prediction, backoffFirst the longest. From then on it doubles up to backoffMax.
	// All of them vary by jitter, a share.
	backoff, backoffFirst, backoffMax time.Duration
	jitter                            float64
	// later is for how long a provider is left alone that says so and not for how
	// long. It doubles up to laterMax. What the provider says is kept to up to laterSaid.
	later, laterMax, laterSaid time.Duration
	// spacing is the time between two polls while all of them fail. It doubles up
	// to spacingMax.
	spacing, spacingMax time.Duration
	// behind is when it is looked again whether the prediction store knows the events of a moment
	// ago, and whether a source has its list.
	behind time.Duration
	// retry is when something is stored again that could not be. It doubles up to
	// retryMax. One try takes at most storing.
	retry, retryMax, storing time.Duration
	// answer is how long an answer is waited for at most.
	answer time.Duration
	// progress is how often it is told how far catching up is.
	logEvery time.Duration
}

func defaultTimings() timings {
	return timings{
		unknown: 10 * time.Minute,
		backoff: 30 * time.Second, backoffFirst: time.Minute, backoffMax: time.Hour, jitter: 0.2,
		later: 30 * time.Second, laterMax: 10 * time.Minute, laterSaid: time.Hour,
		spacing: 5 * time.Second, spacingMax: 5 * time.Minute,
		behind: 100 * time.Millisecond,
		retry:  time.Second, retryMax: 30 * time.Second, storing: 10 * time.Second,
		answer:   90 * time.Second,
		logEvery: 30 * time.Second,
	}
}

// firstDue is when the provider may be asked first: when the prediction should have
// its end, and its webhook cannot come any more. The sender may only begin to deliver
// when the prediction is expected to end, and tries for PollAfter.
func (r *Poller) firstDue(rec *Record) time.Time {
	usual, known := r.models.p99(rec.Source, rec.Model)
	by := rec.ExpectedBy
	switch {
	case !by.IsZero():
	case known:
		by = rec.FirstSeen.Add(fold.OverdueFactor * usual)
	default:
		by = rec.FirstSeen.Add(r.times.unknown)
	}
	takes := cmp.Or(fold.Seconds(rec.Estimate), usual)
	due := later(by, rec.FirstSeen.Add(takes+r.cfg.Sources[rec.Source].PollAfter))
	if last, known := r.lastDue(rec); known && last.Before(due) {
		return last
	}
	return due
}

// lastDue is when the provider is asked at the latest, whatever is expected of the
// prediction: a day before outputs of one that ended at once would be gone.
func (r *Poller) lastDue(rec *Record) (time.Time, bool) {
	src := r.cfg.Sources[rec.Source].Source
	if src == nil || src.Kind().OutputLife() <= rescue {
		return time.Time{}, false
	}
	return rec.FirstSeen.Add(src.Kind().OutputLife() - rescue), true
}

// Due is when the provider is asked next for the prediction. It is called when
// something becomes known of it. It is safe for concurrent use.
func (r *Poller) Due(rec Record) time.Time {
	r.noteUnqueued(rec.Source)
	if !rec.GivenUp.IsZero() {
		return rec.NotBefore
	}
	return later(r.firstDue(&rec), rec.NotBefore)
}

// backoff is the time from a poll of the prediction, which was the Polls-th,
// to the next one.
func (r *Poller) backoff(rec *Record) time.Duration {
	usual, _ := r.models.p99(rec.Source, rec.Model)
	takes := cmp.Or(fold.Seconds(rec.Estimate), usual)
	t := r.times
	first := min(max(t.backoff, takes/3), t.backoffFirst)
	d := backoff.Doubled(first, rec.Polls-1, t.backoffMax)
	return time.Duration(float64(d) * (1 + t.jitter*(2*rand.Float64()-1)))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// took is how long the prediction took, zero when that cannot be said. When its
// arrival here says it, it must be that of a webhook: the provider is asked so late
// that an answer says nothing.
func took(s *bridge.PredictionState) time.Duration {
	switch {
	case !s.CreatedAt.IsZero() && s.CompletedAt.After(s.CreatedAt):
		return s.CompletedAt.Sub(s.CreatedAt)
	case s.Announced != nil && s.Origin == bridge.OriginWebhook:
		return s.ReceivedAt.Sub(s.FirstSeen)
	}
	return 0
}
