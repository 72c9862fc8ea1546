package view

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxTimeline bounds the events of one page of a timeline.
	maxTimeline = 200
	// maxTries is how many attempts end a page.
	maxTries = 4000
)

// Timeline is what happened to a prediction.
type Timeline struct {
	State *bridge.PredictionState
	// Events are the newest first.
	Events []TimelineEvent
	// Dead are the dead letters of the prediction, the newest first, at most 1,000.
	Dead []DeadLetter
	// Next is the cursor of older events; empty at the end.
	Next string
}

// TimelineEvent is an event of a prediction with the attempts on it.
type TimelineEvent struct {
	bridge.EventRef

	// ReceivedAt is when the first delivery arrived; zero for an event of the bridge itself.
	ReceivedAt time.Time
	// Subject is the event's in the stream.
	Subject string
	// Attempts are the last ones that consumers told of, by consumer; at most 256.
	Attempts []LastAttempt
}

// LastAttempt is the last attempt of a consumer on an event that the view heard of.
type LastAttempt struct {
	Consumer string
	Try      Try
	// Next is when the event is tried again, zero when it is not, or when that is unknown.
	Next time.Time
	// Failed are the last failed attempts, the oldest first, at most 16.
	Failed []Try
}

// Try is one attempt. Verdict is as in [bridge.Attempt].
type Try struct {
	At      time.Time
	Took    time.Duration
	Number  int // from 1 on; 0 is unknown
	Verdict string
	Error   string
}

// Timeline returns what happened to a prediction, up to 200 events a page from the cursor on,
// fewer when there are thousands of attempts on them.
// [Lanes] tells what became of each event with each consumer. The error wraps
// [bridge.ErrNotFound], [ErrCursor] or [ErrUnavailable].
func (v *View) Timeline(ctx context.Context, source, id, cursor string) (*Timeline, error) {
	before, _, err := pageOf(cursor, 0)
	if err != nil {
		return nil, err
	}
	out := &Timeline{}
	err = v.read(ctx, func(c *conn) error {
		num := int64(0)
		err := c.query(selectNum, func(s *sqlite3.Stmt) error {
			num = s.ColumnInt64(0)
			out.State, err = stateOf(s, 1)
			return err
		}, source, id)
		if err != nil {
			return err
		}
		if out.State == nil {
			return fmt.Errorf("prediction %q of %s: %w", id, source, bridge.ErrNotFound)
		}
		if out.Events, err = v.timelineEvents(c, out.State, num, before); err != nil {
			return err
		}
		tries, n := 0, 0
		for ; n < min(len(out.Events), maxTimeline) && tries < maxTries; n++ {
			if err := c.attemptsOn(&out.Events[n]); err != nil {
				return err
			}
			for _, a := range out.Events[n].Attempts {
				tries += 1 + len(a.Failed)
			}
		}
		if n < len(out.Events) {
			out.Events = out.Events[:n]
			out.Next = cursorOf(int64(out.Events[n-1].Sequence)) //nolint:gosec // as it was written
		}
		return c.query(selectDeadOf, func(s *sqlite3.Stmt) error { out.Dead = append(out.Dead, deadLetterOf(s)); return nil }, source, id, maxLimit)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// timelineEvents returns up to one event more than a page has.
func (v *View) timelineEvents(c *conn, state *bridge.PredictionState, num, before int64) (out []TimelineEvent, err error) {
	err = c.query(selectEvents, func(s *sqlite3.Stmt) error {
		e := v.TimelineEvent(state, bridge.EventRef{
			Sequence: uint64(s.ColumnInt64(0)), ID: longID(state.ID, s.ColumnText(1)), Kind: s.ColumnText(2), Status: s.ColumnText(3), //nolint:gosec // as it was written
			Origin: s.ColumnText(4), StoredAt: timeOf(s, 5), Conflict: s.ColumnBool(7),
		})
		e.ReceivedAt = timeOf(s, 6)
		out = append(out, e)
		return nil
	}, num, before, maxTimeline+1)
	return out, err
}

// TimelineEvent is an event of the prediction without attempts.
func (v *View) TimelineEvent(state *bridge.PredictionState, ref bridge.EventRef) TimelineEvent {
	e := TimelineEvent{EventRef: ref, Subject: v.cfg.Names.Event(state.Source, ref.Status, state.Model)}
	if e.Kind != bridge.KindPrediction {
		e.Subject = v.cfg.Names.OfKind(e.Kind, state.Source, state.Model)
	}
	return e
}

// attemptsOn adds what consumers told of the event.
func (c *conn) attemptsOn(e *TimelineEvent) error {
	err := c.query(selectLanes, func(s *sqlite3.Stmt) error {
		if s.ColumnInt64(1) != markOf(e.ID) {
			return nil // of another stream's event
		}
		e.Attempts = append(e.Attempts, LastAttempt{
			Consumer: s.ColumnText(0), Next: timeOf(s, 7),
			Try: Try{At: timeOf(s, 2), Took: seconds(s.ColumnFloat(3)), Number: s.ColumnInt(4), Verdict: s.ColumnText(5), Error: s.ColumnText(6)},
		})
		return nil
	}, e.Sequence, maxLanes)
	for i := range e.Attempts {
		a := &e.Attempts[i]
		if err != nil {
			break
		}
		err = c.query(selectAttempts, func(s *sqlite3.Stmt) error {
			a.Failed = append(a.Failed, Try{At: timeOf(s, 0), Took: seconds(s.ColumnFloat(1)), Number: s.ColumnInt(2), Verdict: s.ColumnText(3), Error: s.ColumnText(4)})
			return nil
		}, e.Sequence, a.Consumer)
	}
	return err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
