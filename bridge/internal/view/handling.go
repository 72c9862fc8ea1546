package view

import (
	"context"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// handlingEvents bounds the newest events whose attempts [View.Handling] reads.
const handlingEvents = 5000

// Handling says how the last attempts of a consumer went, as far as the view was told of them.
type Handling struct {
	// Since is when the first of them ended, zero without any.
	Since time.Time
	// Verdicts counts them, P50 and P95 are how long they took.
	Verdicts map[string]int
	P50, P95 time.Duration
}

// Handling says how the last attempts of a consumer on each of the newest 5,000 events went. What
// was put off, or skipped by its filter, is none.
func (v *View) Handling(ctx context.Context, consumer string) (out Handling, err error) {
	var took []time.Duration
	newest := v.events().at().seq
	err = v.read(ctx, func(c *conn) error {
		out, took = Handling{Verdicts: map[string]int{}}, nil
		return c.query(attemptsOfConsumer, func(s *sqlite3.Stmt) error {
			verdict, at := s.ColumnText(1), timeOf(s, 2)
			if verdict == bridge.VerdictSnoozed || verdict == bridge.VerdictSkipped {
				return nil
			}
			out.Verdicts[verdict]++
			if out.Since.IsZero() || at.Before(out.Since) {
				out.Since = at
			}
			took = append(took, time.Duration(s.ColumnFloat(0)*float64(time.Second)))
			return nil
		}, consumer, newest-min(newest, handlingEvents))
	})
	if n := len(took); n > 0 && err == nil {
		slices.Sort(took)
		out.P50, out.P95 = took[(n-1)/2], took[(n*95+99)/100-1]
	}
	return out, err
}
