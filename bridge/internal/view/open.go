package view

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// OpenSources returns the names of sources with open predictions, in order, at most limit.
func (v *View) OpenSources(ctx context.Context, limit int) (names []string, err error) {
	err = v.read(ctx, func(c *conn) error {
		for after, found := "", true; found && len(names) < limit; {
			found = false
			err := c.query(nextOpenSource, func(s *sqlite3.Stmt) error {
				if found = s.ColumnType(0) != sqlite3.NULL; found {
					after = s.ColumnText(0)
					names = append(names, after)
				}
				return nil
			}, after)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return names, err
}

// OpenWithEvents returns the open predictions with an event from the sequence from on and
// before another one, and up to where it has looked: before, unless more than limit events
// match.
func (v *View) OpenWithEvents(ctx context.Context, from, before uint64, limit int) (open []*bridge.PredictionState, next uint64, err error) {
	err = v.read(ctx, func(c *conn) error {
		last, n := int64(0), 0
		var nums []int64
		seen := map[int64]bool{}
		err := c.query(openWithEvents, func(s *sqlite3.Stmt) error {
			last, n = s.ColumnInt64(0), n+1
			if num := s.ColumnInt64(1); !seen[num] {
				seen[num], nums = true, append(nums, num)
			}
			return nil
		}, from, before, limit)
		if err != nil {
			return err
		}
		if next = before; n == limit {
			next = uint64(last) + 1 //nolint:gosec // as it was written
		}
		for _, num := range nums {
			err := c.query(selectByNum, func(s *sqlite3.Stmt) error {
				state, err := stateOf(s, 0)
				open = append(open, state)
				return err
			}, num)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return open, next, err
}

// Finished calls visit with predictions that were closed last, the last one first, at most
// limit.
func (v *View) Finished(ctx context.Context, limit int, visit func(*bridge.PredictionState)) error {
	return v.read(ctx, func(c *conn) error {
		return c.query(lastClosed, func(s *sqlite3.Stmt) error {
			state, err := stateOf(s, 0)
			if err == nil {
				visit(state)
			}
			return err
		}, limit)
	})
}
