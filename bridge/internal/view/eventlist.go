package view

import (
	"context"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// Event is an event of a list, without its body and headers, which the stream has.
type Event struct {
	Sequence   uint64
	ID         string
	Kind       string // as [bridge.Event.Kind]
	Status     string
	Origin     string
	Stored     time.Time
	Received   time.Time
	Bytes      int // of the body
	Source     string
	Prediction string
	Model      string
}

// EventQuery selects events. Every set field must match.
type EventQuery struct {
	Filter     bridge.Filter
	Prediction string
	// Since and Until bound when an event was stored: from Since on, before Until.
	Since, Until time.Time
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// EventPage is a page of events, the newest first.
type EventPage struct {
	Events []Event
	// Next is the cursor of the following page; empty at the end of what the view has.
	Next string
	// Horizon is the sequence behind which the view has every event that it has folded. Of
	// those up to it, events went with their predictions.
	Horizon uint64
}

// Events returns a page of the events behind the horizon, as [View.Predictions] does.
func (v *View) Events(ctx context.Context, q EventQuery) (page EventPage, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return page, err
	}
	err = v.read(ctx, func(c *conn) error {
		if err := c.query(selectHorizon, func(s *sqlite3.Stmt) error { page.Horizon = uint64(s.ColumnInt64(0)); return nil }); err != nil { //nolint:gosec // as it was written
			return err
		}
		branches, err := c.eventBranches(q)
		if err != nil {
			return err
		}
		lower := int64(page.Horizon) + 1 //nolint:gosec // as it was written
		if !q.Since.IsZero() {
			since, err := c.firstAt(lastEvent, eventFrom, q.Since)
			if err != nil {
				return err
			}
			lower = max(lower, since)
		}
		if !q.Until.IsZero() {
			until, err := c.firstAt(lastEvent, eventFrom, q.Until)
			if err != nil {
				return err
			}
			before = min(before, until)
		}
		page.Next, err = c.newest(branches, lower, before, limit, maxExamined, func(seq int64) (bool, error) {
			e, err := c.event(seq)
			taken := e != nil && q.selects(e)
			if taken {
				page.Events = append(page.Events, *e)
			}
			return taken, err
		})
		return err
	})
	return page, err
}

func (c *conn) eventBranches(q EventQuery) ([]branch, error) {
	if q.Prediction == "" {
		return []branch{{sql: numsOfEvents}}, nil
	}
	var out []branch
	var failed error
	err := c.skip(nextSource, "", func(source string) bool {
		failed = c.query(selectNum, func(s *sqlite3.Stmt) error {
			out = append(out, branch{sql: numsByPrediction, args: []any{s.ColumnInt64(0)}})
			return nil
		}, source, q.Prediction)
		return failed == nil && len(out) < maxBranches
	})
	if err == nil {
		err = failed
	}
	return out, err
}

// event returns an event, nil for none.
func (c *conn) event(seq int64) (e *Event, err error) {
	err = c.query(selectEvent, func(s *sqlite3.Stmt) error {
		e = &Event{
			Sequence: uint64(seq), Kind: s.ColumnText(1), Status: s.ColumnText(2), Origin: s.ColumnText(3), Stored: timeOf(s, 4), Received: timeOf(s, 5), //nolint:gosec // as it was written
			Bytes: s.ColumnInt(6), Source: s.ColumnText(7), Prediction: s.ColumnText(8), Model: s.ColumnText(9),
		}
		e.ID = longID(e.Prediction, s.ColumnText(0))
		return nil
	}, seq)
	return e, err
}

func (q *EventQuery) selects(e *Event) bool {
	kind := map[string]string{bridge.KindArchived: bridge.TypeArchived, bridge.KindWatch: bridge.TypeWatch, bridge.KindLost: bridge.TypeLost}[e.Kind]
	return (q.Prediction == "" || q.Prediction == e.Prediction) &&
		q.Filter.Match(&bridge.Event{Type: kind, Source: e.Source, Status: e.Status, Model: e.Model})
}

// firstAt returns a number such that the rows of then or later have it or higher ones. The
// statements return the last number, and the first one from a number on with its time; times
// ascend with the numbers.
func (c *conn) firstAt(lastSQL, fromSQL string, t time.Time) (int64, error) {
	low, high := int64(1), int64(1)
	if err := c.query(lastSQL, func(s *sqlite3.Stmt) error { high = s.ColumnInt64(0) + 1; return nil }); err != nil {
		return 0, err
	}
	for low < high {
		middle := low + (high-low)/2
		num, seen := high, t
		err := c.query(fromSQL, func(s *sqlite3.Stmt) error { num, seen = s.ColumnInt64(0), timeOf(s, 1); return nil }, middle)
		if err != nil {
			return 0, err
		}
		if seen.Before(t) {
			low = num + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// Folded returns up to which sequence a stream has been folded, zero while the view cannot be
// read. Rows of what is beyond are not there yet.
func (v *View) Folded(stream string) uint64 {
	for _, s := range v.streams {
		if s.name == stream && v.db.Load() != nil {
			return min(s.at().seq, math.MaxInt64)
		}
	}
	return 0
}
