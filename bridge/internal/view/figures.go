package view

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// figuresSpan is the time of which [View.Figures] counts ends, in minutes; figuresStep is how
	// exactly.
	figuresSpan, figuresStep = 24 * 60, 60
	// acceptedMinutes is of how many minutes it says what was accepted.
	acceptedMinutes = 60
)

// Figures are what happened at all sources, and what will.
type Figures struct {
	// From is the beginning of the time of the next four: a whole hour, 24 to 25 hours ago.
	From time.Time
	// ByWebhook, ByPoll and ByOther are the predictions whose end became known in that way, Lost
	// those that were given up.
	ByWebhook, ByPoll, ByOther, Lost int64
	// Accepted is how many events of webhooks were stored in each of the last sixty minutes, the
	// oldest first; the last one is the minute of now.
	Accepted []int64
	// Unarchived is how many predictions have outputs that no archive has and that the provider
	// will delete; NextDeleted is when it deletes the first of them.
	Unarchived  int
	NextDeleted time.Time
}

// Figures returns the figures at now. While very many outputs are not archived, their count may
// be some seconds old.
func (v *View) Figures(ctx context.Context, now time.Time) (Figures, error) {
	minute := now.Unix() / 60
	from := floor(minute-figuresSpan, figuresStep)
	out := Figures{From: time.Unix(from*60, 0).UTC(), Accepted: make([]int64, acceptedMinutes)}
	err := v.read(ctx, func(c *conn) error {
		err := c.query(selectTallies, func(s *sqlite3.Stmt) error {
			switch n := s.ColumnInt64(2); s.ColumnText(1) {
			case tallyWebhook:
				out.ByWebhook += n
			case tallyPoll:
				out.ByPoll += n
			case tallyOther:
				out.ByOther += n
			case tallyLost:
				out.Lost += n
			}
			return nil
		}, figuresStep, from, minute+1)
		if err != nil {
			return err
		}
		first := minute - acceptedMinutes + 1
		return c.query(selectTallies, func(s *sqlite3.Stmt) error {
			if s.ColumnText(1) == tallyAccepted {
				out.Accepted[s.ColumnInt64(0)-first] += s.ColumnInt64(2)
			}
			return nil
		}, 1, first, minute+1)
	})
	if err != nil {
		return out, err
	}
	n, err := v.remembered(expiring, now, func() (counts, error) { return v.countExpiring(ctx, now) })
	out.Unarchived, out.NextDeleted = n.open, n.oldest
	return out, err
}
