package poller

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// catchingUp is how many predictions must be overdue before progress is logged.
const catchingUp = 20

// catchUpLog logs the progress of polling many overdue predictions.
type catchUpLog struct {
	poller     *sourcePoller
	leadership Leadership

	looked time.Time
	begun  time.Time // zero while few are overdue
	// polls and ends are the counts at begun.
	polls, ends int64
}

func (p *catchUpLog) look(ctx context.Context, now time.Time) {
	if now.Sub(p.looked) < p.poller.times.logEvery {
		return
	}
	p.looked = now
	_, overdue, _, err := p.leadership.Counts(ctx, p.poller.name, now)
	switch {
	case err != nil:
	case overdue <= catchingUp:
		p.idle()
	case p.begun.IsZero():
		p.begun, p.polls, p.ends = now, p.poller.polls.Load(), p.poller.ends.Load()
		p.poller.log.Info(fmt.Sprintf("%s predictions are overdue and are asked for, the oldest first", comma(int64(overdue))))
	default:
		polls, ends := p.since()
		p.poller.log.Info(fmt.Sprintf("%s overdue, %s asked, %s ended, %s to go",
			comma(int64(overdue)), comma(polls), comma(ends), toGo(overdue, polls, now.Sub(p.begun))))
	}
}

// idle is called when few or none are overdue.
func (p *catchUpLog) idle() {
	if p.begun.IsZero() {
		return
	}
	polls, ends := p.since()
	p.begun = time.Time{}
	p.poller.log.Info(fmt.Sprintf("caught up with what was overdue: %s asked, %s ended", comma(polls), comma(ends)))
}

func (p *catchUpLog) since() (polls, ends int64) {
	return p.poller.polls.Load() - p.polls, p.poller.ends.Load() - p.ends
}

// toGo returns in words how long overdue polls will take at the rate so far.
func toGo(overdue int, polls int64, took time.Duration) string {
	if polls <= 0 {
		return "nobody knows how long"
	}
	left := took.Seconds() / float64(polls) * float64(overdue)
	switch {
	case left < 90:
		return fmt.Sprintf("about %.0f seconds", max(1, left))
	case left < 10*3600:
		return fmt.Sprintf("about %.0f minutes", left/60)
	}
	return fmt.Sprintf("about %.0f hours", left/3600)
}

func comma(n int64) string { return humanize.Comma(n) }
