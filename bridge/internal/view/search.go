package view

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxListed bounds the predictions that a page puts in order itself. When more match, it
	// walks another list, and looks at each.
	maxListed = 10_000
	// maxStood is maxExamined for queries that look at attempts.
	maxStood = 500
)

// Standing is what became of an event with a consumer, as far as consumers and dead letters
// told: [LaneHandled], [LaneFailing] or [LaneDead]. A prediction stands so when one of its last
// 200 events that the consumer told of does.
type Standing struct {
	Consumer string
	State    LaneState
}

// branches returns the lists that have everything that the query selects, by the index that
// selects most sharply.
func (c *conn) branches(q Query, now time.Time) ([]branch, error) {
	if q.Open && bridge.Terminal(q.Status) {
		return nil, nil
	}
	if q.Reference != "" {
		return []branch{{sql: numsByReference, args: []any{q.Reference}}}, nil
	}
	for _, s := range q.Consumers {
		switch s.State { //nolint:exhaustive // others have no list
		case LaneFailing:
			return []branch{{sql: numsByFailing, args: []any{s.Consumer}}}, nil
		case LaneDead:
			return []branch{{sql: numsByDead, args: []any{s.Consumer}}}, nil
		}
	}
	if q.IDPrefix != "" {
		if l, err := c.prefixed(q); !l.full || err != nil {
			return l.branches(), err
		}
	}
	if !q.ExpiresBefore.IsZero() {
		l := listing{conn: c, room: cmp.Or(q.listed, maxListed)}
		if err := l.add(numsByExpires, now, q.ExpiresBefore); !l.full || err != nil {
			return l.branches(), err
		}
	}
	switch {
	case q.Missing:
		open := q
		open.Open = true
		branches, err := c.byStatus(open)
		return append(branches, branch{sql: numsByUnheard}), err
	case q.Tenant != "":
		return []branch{{sql: numsByTenant, args: []any{q.Tenant}}}, nil
	case q.Model != "":
		return c.branchesBy(q, numsByModel, modelStatuses, numsOfAll, func(visit func(string) bool) error { return c.models(q.Model, visit) })
	case q.Source != "" || q.Status != "" || q.Open:
		return c.byStatus(q)
	}
	return []branch{{sql: numsOfAll}}, nil
}

func (c *conn) byStatus(q Query) ([]branch, error) {
	return c.branchesBy(q, numsByStatus, sourceStatuses, numsOfAll, func(visit func(string) bool) error { return c.sources(q.Source, visit) })
}

// sources calls visit with the source, or with each when it is empty.
func (c *conn) sources(source string, visit func(source string) bool) error {
	if source != "" {
		visit(source)
		return nil
	}
	return c.skip(nextSource, "", visit)
}

// listing is predictions that a page puts in order itself.
type listing struct {
	*conn

	nums []int64
	room int
	full bool // and there are more
}

// add adds the numbers of a statement whose last argument is the limit.
func (l *listing) add(sql string, args ...any) error {
	return l.query(sql, func(s *sqlite3.Stmt) error {
		if l.full = len(l.nums) == l.room; !l.full {
			l.nums = append(l.nums, s.ColumnInt64(0))
		}
		return nil
	}, append(args, l.room-len(l.nums)+1)...)
}

func (l *listing) branches() []branch {
	slices.SortFunc(l.nums, newestFirst)
	return []branch{{nums: l.nums}}
}

// prefixed lists the predictions whose ids have the prefix.
func (c *conn) prefixed(q Query) (*listing, error) {
	l, failed := &listing{conn: c, room: cmp.Or(q.listed, maxListed)}, error(nil)
	err := c.sources(q.Source, func(source string) bool {
		failed = l.add(numsByPrefix, source, q.IDPrefix, q.IDPrefix+"\xff") // behind every UTF-8
		return failed == nil && !l.full
	})
	return l, errors.Join(err, failed)
}

// row returns the prediction, nil when the query does not select it.
func (c *conn) row(q Query, num int64, now time.Time) (row *Row, err error) {
	var source, id string
	err = c.query(selectRow, func(s *sqlite3.Stmt) error {
		if !q.selects(s, now) {
			return nil
		}
		state, err := stateOf(s, 12)
		row = &Row{State: state, Due: timeOf(s, 7), Polls: s.ColumnInt(8), Expires: timeOf(s, 11)}
		source, id = s.ColumnText(0), s.ColumnText(9)
		if err == nil && q.Missing && state.Open() && row.Due.IsZero() && (state.ExpectedBy.IsZero() || now.Before(state.ExpectedBy)) {
			row = nil // this process does not poll: only the announcement says when
		}
		return err
	}, num)
	for _, s := range q.Consumers {
		if row == nil || err != nil {
			return nil, err
		}
		var stands bool
		if stands, err = c.stands(s, num, source, id); !stands {
			row = nil
		}
	}
	return row, err
}

func (q *Query) selects(s *sqlite3.Stmt, now time.Time) bool {
	seen, expires := timeOf(s, 5), timeOf(s, 11)
	for i, want := range []string{q.Source, q.Status, q.Reference, q.Tenant} {
		if want != "" && s.ColumnText(i) != want {
			return false
		}
	}
	open := s.ColumnType(6) == sqlite3.NULL
	return strings.HasPrefix(s.ColumnText(9), q.IDPrefix) &&
		(q.Model == "" || matches(q.Model, s.ColumnText(4))) &&
		(!q.Open || open) && (!q.Missing || s.ColumnBool(10) || open && overdue(s, now)) &&
		!seen.Before(q.Since) && (q.Until.IsZero() || seen.Before(q.Until)) &&
		(q.ExpiresBefore.IsZero() || expires.After(now) && !expires.After(q.ExpiresBefore))
}

// overdue reports whether an open prediction was due to be polled, or may be: a process that
// does not poll does not know.
func overdue(s *sqlite3.Stmt, now time.Time) bool {
	due := timeOf(s, 7)
	return due.IsZero() || !due.After(now) || s.ColumnInt(8) > 0
}

// stands reports whether an event of the prediction stands so with the consumer.
func (c *conn) stands(want Standing, num int64, source, id string) (bool, error) {
	events := map[string]*TimelineEvent{}
	err := c.query(selectStanding, func(s *sqlite3.Stmt) error {
		e := TimelineEvent{EventRef: bridge.EventRef{ID: longID(id, s.ColumnText(1))}}
		if s.ColumnInt64(2) == markOf(e.ID) { // otherwise of another stream's event
			e.Attempts = []LastAttempt{{Consumer: want.Consumer, Try: Try{At: timeOf(s, 3), Verdict: s.ColumnText(4)}}}
			events[e.ID] = &e
		}
		return nil
	}, want.Consumer, num, maxTimeline)
	if err != nil || len(events) == 0 && want.State != LaneDead {
		return false, err
	}
	var dead []DeadLetter
	err = c.query(selectDeadOf, func(s *sqlite3.Stmt) error {
		if d := deadLetterOf(s); d.Consumer == want.Consumer {
			dead = append(dead, d)
			if events[d.Event] == nil {
				events[d.Event] = &TimelineEvent{EventRef: bridge.EventRef{ID: d.Event}}
			}
		}
		return nil
	}, source, id, maxLimit)
	for _, e := range events {
		if laneOf(e, dead, &ConsumerInfo{Name: want.Consumer}).State == want.State {
			return true, err
		}
	}
	return false, err
}
