package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// Timeline returns what happened to a prediction, with a lane for each consumer. A prediction
// that the view does not know is searched among the stored events.
func (k known) Timeline(ctx context.Context, source, id, cursor string) (adminapi.Timeline, error) {
	line, err := k.View.Timeline(ctx, source, id, cursor)
	if errors.Is(err, bridge.ErrNotFound) {
		var s *bridge.PredictionState
		if s, err = k.Find(ctx, source, id); err == nil {
			line = k.timelineOf(s)
		}
	}
	if err != nil {
		return adminapi.Timeline{}, err
	}
	states, err := k.consumers(ctx)
	if err != nil {
		return adminapi.Timeline{}, fmt.Errorf("%w: %w", adminapi.ErrNoAnswer, err)
	}
	consumers := make([]view.ConsumerInfo, len(states))
	for i := range states {
		consumers[i] = infoOf(&states[i])
	}
	expire := line.State.OutputsExpireAt(k.Life(source))
	line.State.Expire(time.Now(), k.Life(source))
	out := adminapi.Timeline{Prediction: *line.State, OutputsExpireAt: expire, Behind: k.Behind(), Events: make([]adminapi.TimelineEvent, len(line.Events)), Next: line.Next}
	for i := range line.Events {
		e := &line.Events[i]
		out.Events[i] = adminapi.TimelineEvent{EventRef: e.EventRef, ReceivedAt: e.ReceivedAt, Subject: e.Subject, Lanes: []adminapi.Lane{}}
		for _, l := range view.Lanes(*e, line.Dead, consumers) {
			out.Events[i].Lanes = append(out.Events[i].Lanes, laneOf(&l, e))
		}
	}
	if cursor == "" {
		for _, d := range line.Dead {
			out.DeadLetters = append(out.DeadLetters, adminapi.DeadLetter{
				Seq: d.Sequence, DiedAt: d.Stored, Consumer: d.Consumer, Cause: d.Cause, Fault: d.Fault, Error: d.Error, Attempts: d.Attempts,
				Redrives: d.Redrives, EventSeq: d.At, Event: d.Event, Source: d.Source, Prediction: d.Prediction, Model: d.Model, Status: d.Status,
			})
		}
	}
	return out, nil
}

// timelineOf is a timeline without attempts, which only the view has.
func (k known) timelineOf(s *bridge.PredictionState) *view.Timeline {
	line := &view.Timeline{State: s}
	for _, ref := range slices.Backward(s.Events) {
		line.Events = append(line.Events, k.TimelineEvent(s, ref))
	}
	return line
}

func infoOf(s *adminapi.ConsumerState) view.ConsumerInfo {
	c := view.ConsumerInfo{
		Name: s.Name, Subjects: s.Filter, Missing: s.Missing, Orphaned: s.Orphaned, PausedUntil: s.PausedUntil, First: s.StartSeq, Since: s.StartTime,
		Delivered: s.Delivered, Acknowledged: s.Acknowledged, Unread: s.Unread, Idle: s.Outstanding() == 0,
	}
	if s.State == consumerstate.Blocked {
		c.Blocked = s.Reason
		if c.Blocked == "" {
			c.Blocked = "its handler lets no event be fetched"
		}
	}
	return c
}

func laneOf(l *view.Lane, e *view.TimelineEvent) adminapi.Lane {
	out := adminapi.Lane{
		Consumer: l.Consumer, State: string(l.State), Words: l.State.Words(), Next: l.Next, Until: l.Until, DeadSeq: l.Dead, Cause: l.Cause,
	}
	out.Reason, out.Remedy = l.Explain(e)
	if l.Last != nil {
		out.Last = new(attemptOf(*l.Last))
	}
	for _, try := range l.Failed {
		out.Failed = append(out.Failed, attemptOf(try))
	}
	return out
}

func attemptOf(t view.Try) adminapi.LaneAttempt {
	return adminapi.LaneAttempt{At: t.At, Took: t.Took.Seconds(), Number: t.Number, Verdict: t.Verdict, Error: t.Error}
}
