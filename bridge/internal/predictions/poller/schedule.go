package poller

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/backoff"
)

// rescue is the time left to fetch the outputs before the provider deletes them.
const rescue = 24 * time.Hour

// timings are the times that are not configurable.
type timings struct {
	// unknown is the assumed duration of a prediction of which nothing is known.
	unknown time.Duration
	// backoff is the shortest time between the first and the second poll of a prediction,
	// backoffFirst the longest. It doubles up to backoffMax and varies by jitter, a share.
	backoff, backoffFirst, backoffMax time.Duration
	jitter                            float64
	// later is the pause when a provider refuses polls without naming a time; it doubles up
	// to laterMax. A time that the provider names counts up to laterSaid.
	later, laterMax, laterSaid time.Duration
	// spacing is the time between two polls while all of them fail; it doubles up to
	// spacingMax.
	spacing, spacingMax time.Duration
	// behind spaces the checks whether the view is up to date.
	behind time.Duration
	// retry is the pause before storing again; it doubles up to retryMax. One try takes at
	// most storing.
	retry, retryMax, storing time.Duration
	// answer bounds the wait for an answer.
	answer time.Duration
	// logEvery spaces the log lines about catching up.
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

// firstDue is the first poll: after the expected end, when the webhook cannot come any
// more. The sender may begin to deliver only at the expected end, and tries for PollAfter.
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
	end := rec.FirstSeen.Add(takes)
	due := later(by, end.Add(r.cfg.Sources[rec.Source].PollAfter))
	if last, known := r.lastDue(rec, end); known && last.Before(due) {
		return last
	}
	return due
}

// lastDue is the latest first poll, whatever is expected of the prediction: a day after the end, or
// half of the life of its outputs when that is shorter, and a day before the outputs of a
// prediction that ended at once are deleted.
func (r *Poller) lastDue(rec *Record, end time.Time) (time.Time, bool) {
	life := r.outputLife(rec.Source)
	if life == 0 {
		return time.Time{}, false
	}
	last := end.Add(min(rescue, life/2))
	if early := rec.FirstSeen.Add(life - rescue); life > 2*rescue && early.Before(last) {
		return early, true
	}
	return last, true
}

// outputLife is how long the provider of a source keeps outputs, 0 when that is unknown.
func (r *Poller) outputLife(name string) time.Duration {
	src := r.cfg.Sources[name].Source
	if src == nil {
		return 0
	}
	return src.Kind().OutputLife
}

// Due returns when to poll for the prediction next. It is called whenever something becomes
// known of it. It is safe for concurrent use.
func (r *Poller) Due(rec Record) time.Time {
	if !rec.GivenUp.IsZero() {
		return rec.NotBefore
	}
	return later(r.firstDue(&rec), rec.NotBefore)
}

// backoff is the time from the prediction's Polls-th poll to the next one.
func (r *Poller) backoff(rec *Record) time.Duration {
	usual, _ := r.models.p99(rec.Source, rec.Model)
	takes := cmp.Or(fold.Seconds(rec.Estimate), usual)
	t := r.times
	first := min(max(t.backoff, takes/3), t.backoffFirst)
	most := t.backoffMax
	if life := r.outputLife(rec.Source); life > 0 {
		most = min(most, life/2)
	}
	d := backoff.Doubled(first, rec.Polls-1, most)
	return time.Duration(float64(d) * (1 + t.jitter*(2*rand.Float64()-1)))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// took returns how long the prediction took, zero when unknown. An arrival time counts only
// for a webhook: polls come too late to tell.
func took(s *bridge.PredictionState) time.Duration {
	switch {
	case !s.CreatedAt.IsZero() && s.CompletedAt.After(s.CreatedAt):
		return s.CompletedAt.Sub(s.CreatedAt)
	case s.Announced != nil && s.Origin == bridge.OriginWebhook:
		return s.ReceivedAt.Sub(s.FirstSeen)
	}
	return 0
}
