package archive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookspan/hookspan/consumers"
)

const (
	// lateShare is the part of the time since the event was received after which an
	// output that is late is asked for again, within minLate and maxLate.
	lateShare        = 2
	minLate, maxLate = time.Second, time.Minute
)

// lateness says until when outputs of an event may be missing because they are late. A
// content delivery network can take some time to serve what the event tells of.
type lateness struct {
	since, until time.Time
}

// newLateness counts from when the event was received, or first handled if that was
// earlier by the clocks of two machines. Both are kept with the event, so that a restart
// does not begin the time anew. It ends with the life of the outputs, if that is known.
func newLateness(ctx context.Context, received, end time.Time, delay time.Duration) lateness {
	since := consumers.AttemptOf(ctx).First
	if !received.IsZero() && received.Before(since) {
		since = received
	}
	until := since.Add(delay)
	if !end.IsZero() && end.Before(until) {
		until = end
	}
	return lateness{since, until}
}

// judge makes an answer that the file is not there final once it cannot be late any
// more, and has the fault say so.
func (l lateness) judge(f *fault) {
	if !f.late || f.final {
		return
	}
	if time.Now().Before(l.until) {
		f.err = fmt.Errorf("%w: it may be late, so it is asked for again until %s", f.err, l.until.UTC().Format(time.RFC3339))
		return
	}
	f.final, f.short = true, strings.Replace(f.short, "late", "gone", 1)
	f.err = fmt.Errorf("gone: %w", f.err)
	if waited := l.until.Sub(l.since); waited > 0 {
		f.err = fmt.Errorf("%w, which is final %v after the event was received", f.err, waited.Round(time.Second))
	}
}

// next returns within what time the next attempt should be made when one of the faults
// is a late output, else 0.
func (l lateness) next(faults []*fault) time.Duration {
	for _, f := range faults {
		if f.late && !f.final {
			return min(max(time.Since(l.since)/lateShare, minLate), maxLate)
		}
	}
	return 0
}
