package view

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// DeadGroup is the dead letters of a consumer with the same cause and the same normalised error.
type DeadGroup struct {
	// ID is the same in every view. See [DeadGroupID].
	ID       string
	Consumer string
	Cause    bridge.DeadCause
	// Error is what their errors have in common: "#" is a number, an id or a quoted text.
	Error string
	N     int64
	// First and Last are when the first and the last one of those that are left were stored;
	// Sample is the sequence of the last one.
	First, Last time.Time
	Sample      uint64
	// Histogram counts them by the time.
	Histogram Histogram
}

// DeadGroupID returns the id of the group that a dead letter belongs to. error is its whole
// error.
func DeadGroupID(consumer string, cause bridge.DeadCause, err string) string {
	return groupID(consumer, cause, normalise(err))
}

// groupID tells the parts apart by their lengths.
func groupID(consumer string, cause bridge.DeadCause, normalised string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s%s%s", len(consumer), len(cause), consumer, cause, normalised))
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15])
}

// deadGroups are the groups that a transaction changes, by row.
type deadGroups struct {
	*conn

	known map[int64]*DeadGroup
	byID  map[string]int64
}

func (c *conn) deadGroups() *deadGroups {
	return &deadGroups{conn: c, known: map[int64]*DeadGroup{}, byID: map[string]int64{}}
}

// add counts a dead letter, and returns the row of its group.
func (g *deadGroups) add(d *DeadLetter) (family int64, err error) {
	text := normalise(d.Error)
	d.Group = groupID(d.Consumer, d.Cause, text)
	family, ok := g.byID[d.Group]
	if !ok {
		group := DeadGroup{ID: d.Group, Consumer: d.Consumer, Cause: d.Cause, Error: text}
		err := g.query(groupByID, func(s *sqlite3.Stmt) error { family = s.ColumnInt64(0); return group.read(s, 1) }, d.Group)
		if err == nil && family == 0 {
			err = g.query(insertGroup, func(s *sqlite3.Stmt) error { family = s.ColumnInt64(0); return nil },
				d.Group, d.Consumer, string(d.Cause), text, 0, d.Stored, d.Sequence, d.Stored, []byte{})
		}
		if err != nil {
			return 0, err
		}
		g.known[family], g.byID[d.Group] = &group, family
	}
	group := g.known[family]
	if group.N == 0 {
		group.First = d.Stored
	}
	group.N, group.Sample, group.Last = group.N+1, d.Sequence, d.Stored
	group.Histogram.add(d.Stored)
	return family, nil
}

// removed is called with what a statement returns that removes dead letters.
func (g *deadGroups) removed(s *sqlite3.Stmt) error {
	family, stored := s.ColumnInt64(0), timeOf(s, 1)
	group := g.known[family]
	if group == nil {
		group = &DeadGroup{}
		if err := g.query(groupByRow, func(s *sqlite3.Stmt) error { return group.read(s, 0) }, family); err != nil {
			return err
		}
		g.known[family] = group
	}
	group.N--
	group.Histogram.remove(stored)
	return nil
}

// write writes the groups. Those that lost dead letters look up which are left.
func (g *deadGroups) write(lost bool) error {
	for family, group := range g.known {
		if group.N <= 0 {
			if err := g.run(deleteGroup, family); err != nil {
				return err
			}
			continue
		}
		if lost {
			err := g.query(firstOfGroup, func(s *sqlite3.Stmt) error { group.First = timeOf(s, 1); return nil }, family)
			if err == nil {
				err = g.query(lastOfGroup, func(s *sqlite3.Stmt) error {
					group.Sample, group.Last = uint64(s.ColumnInt64(0)), timeOf(s, 1) //nolint:gosec // as it was written
					return nil
				}, family)
			}
			if err != nil {
				return err
			}
		}
		if err := g.run(updateGroup, family, group.N, group.First, group.Sample, group.Last, group.Histogram.encode()); err != nil {
			return err
		}
	}
	return nil
}

// read reads the columns from n to histogram.
func (d *DeadGroup) read(s *sqlite3.Stmt, column int) (err error) {
	d.N, d.First = s.ColumnInt64(column), timeOf(s, column+1)
	d.Sample, d.Last = uint64(s.ColumnInt64(column+2)), timeOf(s, column+3) //nolint:gosec // as it was written
	d.Histogram, err = decodeHistogram(s.ColumnRawBlob(column + 4))
	return err
}

// countRemovedDead counts the groups of dead letters that statements remove.
func countRemovedDead(c *conn) (row func(*sqlite3.Stmt) error, done func() error) {
	g := c.deadGroups()
	return g.removed, func() error { return g.write(true) }
}

// GroupQuery selects groups of dead letters. Every set field must match.
type GroupQuery struct {
	Consumer string
	Cause    bridge.DeadCause
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// DeadGroups returns a page of groups, the one with the newest dead letter first, as
// [View.Predictions] does. A group that gets a dead letter meanwhile moves to the front.
func (v *View) DeadGroups(ctx context.Context, q GroupQuery) (page []DeadGroup, next string, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return nil, "", err
	}
	list := branch{sql: numsOfGroups}
	if q.Consumer != "" {
		list = branch{sql: numsOfGroupsAmong, args: []any{q.Consumer}}
	}
	err = v.read(ctx, func(c *conn) error {
		next, err = c.newest([]branch{list}, minCursor, before, limit, maxExamined, func(seq int64) (taken bool, err error) {
			err = c.query(selectGroupByLatest, func(s *sqlite3.Stmt) error {
				g := DeadGroup{ID: s.ColumnText(0), Consumer: s.ColumnText(1), Cause: bridge.DeadCause(s.ColumnText(2)), Error: s.ColumnText(3)}
				if q.Cause != "" && q.Cause != g.Cause {
					return nil
				}
				taken = true
				err := g.read(s, 4)
				page = append(page, g)
				return err
			}, seq)
			return taken, err
		})
		return err
	})
	return page, next, err
}
