package predictions

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// catchingUp is how many must be overdue for it to be told how far it is.
const catchingUp = 20

// progress tells how far it is to ask for many that are overdue.
type progress struct {
	asked *asked
	list  *worklist

	looked time.Time
	begun  time.Time // zero while there are few
	// questions and ends are those before it began.
	questions, ends int64
}

// look is called before each question.
func (p *progress) look(now time.Time) {
	if now.Sub(p.looked) < p.asked.times.progress {
		return
	}
	p.looked = now
	_, overdue, _ := p.list.counts(now)
	switch {
	case overdue <= catchingUp:
		p.idle()
	case p.begun.IsZero():
		p.begun, p.questions, p.ends = now, p.asked.questions.Load(), p.asked.ends.Load()
		p.asked.log.Info(fmt.Sprintf("%s predictions are overdue and are asked for, the oldest first", comma(int64(overdue))))
	default:
		questions, ends := p.since()
		p.asked.log.Info(fmt.Sprintf("%s overdue, %s asked, %s ended, %s to go",
			comma(int64(overdue)), comma(questions), comma(ends), toGo(overdue, questions, now.Sub(p.begun))))
	}
}

// idle is called when few or none are overdue.
func (p *progress) idle() {
	if p.begun.IsZero() {
		return
	}
	questions, ends := p.since()
	p.begun = time.Time{}
	p.asked.log.Info(fmt.Sprintf("caught up with what was overdue: %s asked, %s ended", comma(questions), comma(ends)))
}

func (p *progress) since() (questions, ends int64) {
	return p.asked.questions.Load() - p.questions, p.asked.ends.Load() - p.ends
}

// toGo is in words how long so many will take when that many questions took so long.
func toGo(overdue int, questions int64, took time.Duration) string {
	if questions <= 0 {
		return "nobody knows how long"
	}
	left := took.Seconds() / float64(questions) * float64(overdue)
	switch {
	case left < 90:
		return fmt.Sprintf("about %.0f seconds", max(1, left))
	case left < 10*3600:
		return fmt.Sprintf("about %.0f minutes", left/60)
	}
	return fmt.Sprintf("about %.0f hours", left/3600)
}

func comma(n int64) string { return humanize.Comma(n) }
