package view

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// Overdue is an open prediction whose time to be polled has come.
type Overdue struct {
	State *bridge.PredictionState
	Due   time.Time
	// Polls is how often it was polled, as [View.SetDue] was told.
	Polls int
	// Claimed: only programs of other teams have told of it.
	Claimed bool
}

// Due returns up to limit open predictions of the source that are due at now: those polled
// least often first, then those due first. At least half of them are more than claimed, as
// long as there are any.
func (v *View) Due(ctx context.Context, source string, now time.Time, limit int) ([]Overdue, error) {
	var known, claimed []Overdue
	err := v.read(ctx, func(c *conn) (err error) {
		if known, err = c.due(source, false, now, limit); err == nil {
			claimed, err = c.due(source, true, now, limit)
		}
		return err
	})
	var out []Overdue
	for i := range max(len(known), len(claimed)) {
		if i < len(known) {
			out = append(out, known[i])
		}
		if i < len(claimed) {
			out = append(out, claimed[i])
		}
	}
	return out[:min(len(out), max(limit, 0))], err
}

func (c *conn) due(source string, claimed bool, now time.Time, limit int) (out []Overdue, err error) {
	err = c.eachPolls(source, claimed, func(polls int) (more bool, err error) {
		err = c.query(selectDue, func(s *sqlite3.Stmt) error {
			state, err := stateOf(s, 0)
			out = append(out, Overdue{State: state, Polls: polls, Due: timeOf(s, 1), Claimed: claimed})
			return err
		}, source, claimed, polls, now, limit-len(out))
		return len(out) < limit, err
	})
	return out, err
}

// eachPolls calls visit with each number of polls that open predictions have, the lowest
// first, while it returns true.
func (c *conn) eachPolls(source string, claimed bool, visit func(polls int) (more bool, err error)) error {
	for polls, more := -1, true; more; {
		found := false
		err := c.query(nextPolls, func(s *sqlite3.Stmt) error {
			found, polls = s.ColumnType(0) != sqlite3.NULL, s.ColumnInt(0)
			return nil
		}, source, claimed, polls)
		if err != nil || !found {
			return err
		}
		if more, err = visit(polls); err != nil {
			return err
		}
	}
	return nil
}

// NextDue returns when the first open prediction of the source is due, also when that time
// has passed; zero for never.
func (v *View) NextDue(ctx context.Context, source string) (next time.Time, err error) {
	err = v.read(ctx, func(c *conn) error {
		for _, claimed := range []bool{false, true} {
			err := c.eachPolls(source, claimed, func(polls int) (bool, error) {
				return true, c.query(firstDue, func(s *sqlite3.Stmt) error {
					if at := timeOf(s, 0); next.IsZero() || !at.IsZero() && at.Before(next) {
						next = at
					}
					return nil
				}, source, claimed, polls)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}

// SetDue sets when the prediction is polled next, zero for never, and how often it was. It
// does nothing for a prediction that is not open. An event of the prediction sets the time
// anew, see [Config.Due].
func (v *View) SetDue(_ context.Context, source, id string, due time.Time, polls int) error {
	return v.write(func(c *conn) error { return c.run(setDue, source, id, due, polls) })
}

// counts is a result of [View.Counts].
type counts struct {
	open, overdue int
	oldest        time.Time
	at, until     time.Time // when it was counted, and when it is counted again
}

// Counting may take a twentieth of the time once it takes longer than slowCount.
const (
	countShare = 20
	slowCount  = 10 * time.Millisecond
)

// Counts returns the number of open predictions of the source and of those that are due at
// now, and when the oldest of these was first seen. While there are so many that counting
// takes its time, the answer may be some seconds old.
func (v *View) Counts(ctx context.Context, source string, now time.Time) (open, overdue int, oldest time.Time, err error) {
	n, err := v.remembered(source, now, func() (n counts, err error) {
		n.open, n.overdue, n.oldest, err = v.count(ctx, source, now)
		return n, err
	})
	return n.open, n.overdue, n.oldest, err
}

// remembered returns what count does at now, or its last result while counting takes too long.
func (v *View) remembered(name string, now time.Time, count func() (counts, error)) (counts, error) {
	v.counting.Lock()
	defer v.counting.Unlock()
	if n := v.counted[name]; !now.Before(n.at) && now.Before(n.until) {
		return n, nil
	}
	began := time.Now()
	n, err := count()
	if err != nil {
		return counts{}, err
	}
	v.remember(name, n, now, time.Since(began), 0)
	return n, nil
}

// remember keeps a result of now when counting took too long: for at least that time. The caller
// holds the lock.
func (v *View) remember(name string, n counts, now time.Time, took, least time.Duration) {
	if took > slowCount {
		n.at, n.until = now, now.Add(max(countShare*took, least))
		v.counted[name] = n
	}
}

func (v *View) count(ctx context.Context, source string, now time.Time) (open, overdue int, oldest time.Time, err error) {
	err = v.read(ctx, func(c *conn) error {
		if err := c.query(countOpen, func(s *sqlite3.Stmt) error { open = s.ColumnInt(0); return nil }, source); err != nil {
			return err
		}
		var nums []int64
		for _, claimed := range []bool{false, true} {
			err := c.eachPolls(source, claimed, func(polls int) (bool, error) {
				return true, c.query(countOverdue, func(s *sqlite3.Stmt) error {
					if n := s.ColumnInt(0); n > 0 {
						overdue, nums = overdue+n, append(nums, s.ColumnInt64(1))
					}
					return nil
				}, source, claimed, polls, now)
			})
			if err != nil {
				return err
			}
		}
		if len(nums) == 0 {
			return nil
		}
		return c.query(selectSeen, func(s *sqlite3.Stmt) error { oldest = timeOf(s, 0); return nil }, slices.MinFunc(nums, cmp.Compare[int64]))
	})
	return open, overdue, oldest, err
}
