package view

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// pruneEvery spaces the looks for what goes, pruneAtOnce bounds the predictions of one
	// transaction.
	pruneEvery, pruneAtOnce = 2 * time.Second, 500
	// maxActivity is how many rows of counts of each span are kept.
	maxActivity   = 500_000
	activityEvery = time.Hour
)

// prune removes what has been kept long enough, until ctx ends.
func (v *View) prune(ctx context.Context) error {
	counted := time.Time{}
	for backoff.Sleep(ctx, pruneEvery) {
		for ctx.Err() == nil {
			began := time.Now()
			n, err := v.prunePredictions(began)
			if err != nil {
				return fmt.Errorf("removing old predictions: %w", err)
			}
			if n < pruneAtOnce {
				break
			}
			backoff.Sleep(ctx, v.yield(began))
		}
		if time.Since(counted) > activityEvery {
			if err := v.pruneActivity(time.Now()); err != nil {
				return fmt.Errorf("removing old counts: %w", err)
			}
			counted = time.Now()
		}
		if v.settled() {
			v.status.succeed() // nothing is left to be folded that could show it
		}
	}
	return nil
}

// prunePredictions removes some finished predictions that were kept long enough, and those
// that finished first while the file is too large. It returns how many.
func (v *View) prunePredictions(now time.Time) (n int, err error) {
	err = v.write(func(c *conn) error {
		before := v.expiry()
		if full, err := c.larger(v.cfg.MaxBytes); err != nil {
			return err
		} else if full {
			before = now.AddDate(100, 0, 0)
			v.tooLarge(now)
		}
		var nums []int64
		err := c.query(expiredPredictions, func(s *sqlite3.Stmt) error {
			nums = append(nums, s.ColumnInt64(0))
			return nil
		}, before, pruneAtOnce)
		if err != nil {
			return err
		}
		for _, num := range nums {
			if err := removePrediction(c, num); err != nil {
				return err
			}
		}
		n = len(nums)
		return nil
	})
	return n, err
}

// expiry is the time before which finished predictions have been kept long enough. A view
// that is behind goes by the time of the events: a prediction must not go before an event of
// it is folded that was stored while it was kept.
func (v *View) expiry() time.Time {
	s := v.events()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.position.stored
	if current := s.current.Add(-clockMargin); current.After(at) {
		at = current
	}
	return at.Add(-v.cfg.Keep)
}

// clockMargin is how far the clocks of this process and the stream may be apart.
const clockMargin = 5 * time.Second

// larger reports whether the file has more bytes in use.
func (c *conn) larger(bytes int64) (bool, error) {
	numbers := make([]int64, 0, 3)
	for _, pragma := range []string{"PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"} {
		if err := c.query(pragma, func(s *sqlite3.Stmt) error { numbers = append(numbers, s.ColumnInt64(0)); return nil }); err != nil {
			return false, err
		}
	}
	return (numbers[0]-numbers[1])*numbers[2] > bytes, nil
}

func (v *View) tooLarge(now time.Time) {
	if now.Sub(v.toldLarge) < activityEvery {
		return
	}
	v.toldLarge = now
	v.log.Warn("the view has reached its size, and finished predictions go before their time: shorten view.keep", zap.Int64("bytes", v.cfg.MaxBytes))
}

// pruneActivity removes old counts, and the oldest while there are too many.
func (v *View) pruneActivity(now time.Time) error {
	return v.write(func(c *conn) error {
		for _, table := range []struct{ remove, count string }{{deleteActivity, countActivity}, {deleteTallies, countTallies}, {deleteFailures, countFailures}} {
			for _, span := range spans {
				if err := c.pruneCounts(table.remove, table.count, span, now.Unix()/60); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (c *conn) pruneCounts(remove, count string, span span, minute int64) error {
	if err := c.run(remove, span.minutes, minute-int64(span.keep/time.Minute)); err != nil {
		return err
	}
	for {
		rows, first := 0, int64(0)
		err := c.query(count, func(s *sqlite3.Stmt) error { rows, first = s.ColumnInt(0), s.ColumnInt64(1); return nil }, span.minutes)
		if err != nil || rows <= maxActivity {
			return err
		}
		// A tenth of the time at once, and at least one span.
		if err := c.run(remove, span.minutes, first+max(span.minutes, (minute-first)/10)); err != nil {
			return err
		}
	}
}
