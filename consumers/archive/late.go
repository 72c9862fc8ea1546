package archive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookspan/hookspan/consumers"
)

const (
	// lateShare is the divisor of the time since an output was first asked for, after which a
	// late output is asked for again, within minLate and maxLate.
	lateShare        = 2
	minLate, maxLate = time.Second, time.Minute
)

// lateness says until when outputs of an event may be missing because they are late. A content
// delivery network can take some time to serve a new output.
type lateness struct {
	now func() time.Time
	// since is when the first failed attempt ended, zero in a first attempt.
	since time.Time
	delay time.Duration
	// end is when the provider deletes the outputs, zero when that is unknown.
	end time.Time
}

// newLateness counts from the first answers, not from when the event was received: the event may
// have waited in a queue, behind a pause or for room, or was a dead letter, and a single answer
// does not prove that the output is gone. The time is kept with the event, so it survives a
// restart.
func newLateness(ctx context.Context, now func() time.Time, end time.Time, delay time.Duration) lateness {
	return lateness{now: now, since: consumers.AttemptOf(ctx).FirstFailed, delay: delay, end: end}
}

// judge makes a 403 or 404 final once the output cannot be late any more, and says so in the
// fault.
func (l lateness) judge(f *fault) {
	if !f.late || f.final {
		return
	}
	now, since := l.now(), l.since
	if since.IsZero() {
		since = now
	}
	until := since.Add(l.delay)
	if !l.end.IsZero() && l.end.Before(until) {
		until = l.end
	}
	if now.Before(until) {
		f.err = fmt.Errorf("%w: it may be late, so it is asked for again until %s", f.err, until.UTC().Format(time.RFC3339))
		return
	}
	f.final, f.short = true, strings.Replace(f.short, "late", "gone", 1)
	f.err = fmt.Errorf("gone: %w", f.err)
	if waited := until.Sub(since); waited > 0 {
		f.err = fmt.Errorf("%w, which is final %v after the first attempt", f.err, waited.Round(time.Second))
	}
}

// next returns within what time the next attempt should be made when one of the faults is a late
// output, else 0.
func (l lateness) next(faults []*fault) time.Duration {
	for _, f := range faults {
		if !f.late || f.final {
			continue
		}
		if l.since.IsZero() {
			return minLate
		}
		return min(max(l.now().Sub(l.since)/lateShare, minLate), maxLate)
	}
	return 0
}
