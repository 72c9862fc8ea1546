package view

import (
	"context"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// allStreams are the streams of the view; the first one is that of the events.
func (v *View) allStreams() []*stream {
	n := v.cfg.Names
	return []*stream{
		{View: v, name: n.EventsStream(), subjects: []string{n.AllEvents(), n.AllAgain(bridge.PredictionsConsumer)}, decode: decodeEvent, fold: foldEvents},
		{View: v, name: n.DeadStream(), decode: decodeDead, fold: foldDead, removed: removal{one: deleteDeadSeq, to: deleteDeadTo, counting: countRemovedDead}},
		{View: v, name: n.QuarantineStream(), decode: decodeKept, fold: foldKept, removed: removal{one: deleteKeptSeq, to: deleteKeptTo, args: []any{n.QuarantineStream()}}},
		{View: v, name: n.RefusedStream(), decode: decodeKept, fold: foldKept, removed: removal{one: deleteKeptSeq, to: deleteKeptTo, args: []any{n.RefusedStream()}}},
		{View: v, name: n.AlarmsStream(), decode: decodeAlarm, fold: foldAlarms, removed: removal{one: deleteAlarmSeq, to: deleteAlarmsTo}},
	}
}

func (v *View) events() *stream { return v.streams[0] }

func foldEvents(c *conn, s *stream, b block) (tell func(), err error) {
	f := eventFold{conn: c, keep: s.cfg.Keep, goal: s.at().goal, due: s.cfg.Due, life: s.cfg.Life}
	f.erased = func(m *message) bool { return s.cfg.Erased(s.name, m.seq, m.event.Source, m.event.PredictionID) }
	if err := f.fold(b.msgs); err != nil {
		return nil, err
	}
	for _, sql := range []string{deleteStrayLanes, deleteStrayAttempts, placeLanes} {
		if err := c.run(sql, s.at().seq, b.last); err != nil {
			return nil, err
		}
	}
	if len(f.changes) == 0 {
		return nil, nil
	}
	return func() { s.cfg.Changed(f.changes) }, nil
}

// removePrediction removes a prediction with what belongs to it.
func removePrediction(c *conn, num int64) error {
	for _, sql := range []string{raiseHorizon, unplaceDead, deleteLanes, deleteAttempts, deleteEvents, deletePrediction} {
		if err := c.run(sql, num); err != nil {
			return err
		}
	}
	return nil
}

// restoredNum is the num of a restored prediction whose first event had the sequence 0: theirs
// are below those of the stream, so that no event of the stream finds its num taken.
const restoredNum = -1 << 61

// mayLeave is within which time of the oldest event others may leave the stream before a view
// that is made anew has read them.
const mayLeave = time.Hour

// restore puts the open predictions into an empty view that are known without the stream. Of
// those whose first event will be read it tells itself, with the place that they had.
func (v *View) restore(ctx context.Context, c *conn, p position, info *jetstream.StreamInfo) error {
	return v.cfg.Restore(ctx, func(s *bridge.PredictionState) error {
		if !s.Open() || s.ID == "" || s.Status == "" || s.FirstSeen.IsZero() || bridge.CheckName("source", s.Source) != nil {
			return nil //nolint:nilerr // another program wrote it
		}
		if len(s.Events) > 0 && s.Events[0].Sequence >= info.State.FirstSeq && s.Sequence <= p.goal && info.State.Msgs > 0 &&
			s.Events[0].StoredAt.After(info.State.FirstTime.Add(mayLeave)) {
			return nil
		}
		if known, err := c.has(selectPrediction, s.Source, s.ID); err != nil || known {
			return err
		}
		num, restored := int64(restoredNum), *s
		if len(s.Events) > 0 {
			num += int64(min(s.Events[0].Sequence, math.MaxInt32<<16)) //nolint:gosec // bounded
		}
		for {
			taken, err := c.has(selectSeen, num)
			if err != nil {
				return err
			}
			if !taken {
				break
			}
			num--
		}
		if s.Sequence > p.goal { // of a stream that is gone
			restored.Sequence = 0
		}
		f := eventFold{conn: c, keep: v.cfg.Keep, due: v.cfg.Due, life: v.cfg.Life}
		return f.write(&touched{num: num, state: restored, changed: true})
	})
}
