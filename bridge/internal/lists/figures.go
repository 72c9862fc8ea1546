package lists

import (
	"context"
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// DeadGroups returns a page of groups of dead letters. Of the selection it heeds the consumer,
// the cause and the page. The error wraps [adminapi.ErrCursor] or [adminapi.ErrUnavailable].
func (l *Lists) DeadGroups(ctx context.Context, sel adminapi.DeadSelection) (list adminapi.DeadGroupList, err error) {
	if err := l.view.Refresh(ctx, l.names.DeadStream()); err != nil && !errors.Is(err, view.ErrUnavailable) {
		return list, err
	}
	page, next, err := l.view.DeadGroups(ctx, view.GroupQuery{Consumer: sel.Consumer, Cause: sel.Cause, Cursor: sel.Cursor, Limit: sel.Limit})
	list.Groups, list.Next = []adminapi.DeadGroup{}, next
	for _, g := range page {
		start, step, counts := g.Histogram.Points()
		list.Groups = append(list.Groups, adminapi.DeadGroup{
			ID: g.ID, Consumer: g.Consumer, Cause: g.Cause, Error: g.Error, Count: g.N, FirstAt: g.First, LastAt: g.Last, Sample: g.Sample,
			Histogram: adminapi.Histogram{Start: start, StepSeconds: int64(step / time.Second), Counts: counts},
		})
	}
	return list, err
}

// Models returns what happened to predictions by model. The error wraps [adminapi.ErrCursor] or
// [adminapi.ErrUnavailable].
func (l *Lists) Models(ctx context.Context, sel adminapi.ModelSelection) (list adminapi.ModelList, err error) {
	page, err := l.view.Models(ctx, view.ModelQuery{
		Since: sel.Since, Now: time.Now(), Source: sel.Source, Model: sel.Model, Newest: sel.Newest, Cursor: sel.Cursor, Limit: sel.Limit,
	})
	list = adminapi.ModelList{From: page.From, Until: page.Until, StepSeconds: int64(page.Step / time.Second), Models: []adminapi.Model{}}
	list.Next = page.Next
	for i := range page.Models {
		list.Models = append(list.Models, newModel(&page.Models[i]))
	}
	return list, err
}

func newModel(m *view.ModelFigures) adminapi.Model {
	out := adminapi.Model{
		Source: m.Source, Model: m.Model, Count: m.Completed + m.Failed + m.Canceled, Completed: m.Completed, Failed: m.Failed, Canceled: m.Canceled, LastAt: m.LastAt,
		Queue: newLag(m.Queued), Inference: newLag(m.Inference), Webhook: newLag(m.Webhook), Errors: []adminapi.ModelError{},
	}
	if n := m.Completed + m.Failed; n > 0 {
		out.FailingShare = float64(m.Failed) / float64(n)
	}
	if n := m.Before.Completed + m.Before.Failed; n > 0 {
		change := out.FailingShare - float64(m.Before.Failed)/float64(n)
		out.FailingChange = &change
	}
	for _, f := range m.Errors {
		out.Errors = append(out.Errors, adminapi.ModelError{Error: f.Error, Count: f.N, Prediction: f.Prediction})
	}
	return out
}

func newLag(l view.Lag) adminapi.ModelLag {
	return adminapi.ModelLag{Count: l.N, P50Seconds: l.P50.Seconds(), P95Seconds: l.P95.Seconds()}
}

// Alarms returns a page of alarms. The error wraps [adminapi.ErrCursor] or
// [adminapi.ErrUnavailable].
func (l *Lists) Alarms(ctx context.Context, sel adminapi.AlarmSelection) (list adminapi.AlarmList, err error) {
	list.Alarms = []adminapi.Alarm{}
	active, err := l.view.ActiveAlarms(ctx, time.Now())
	if err != nil {
		return list, err
	}
	since := map[uint64]time.Time{}
	for _, a := range active {
		since[a.Sequence] = a.Since
	}
	if sel.Active {
		return activeAlarms(active, sel)
	}
	page, next, err := l.view.Alarms(ctx, view.AlarmQuery{Kind: sel.Kind, Subject: sel.Subject, Cursor: sel.Cursor, Limit: sel.Limit})
	for _, a := range page {
		at, is := since[a.Sequence]
		list.Alarms = append(list.Alarms, adminapi.Alarm{Seq: a.Sequence, Alarm: a.Alarm, Active: is, Since: at})
	}
	list.Next = next
	return list, err
}

// activeAlarms returns a page of the active alarms.
func activeAlarms(active []view.ActiveAlarm, sel adminapi.AlarmSelection) (list adminapi.AlarmList, err error) {
	list.Alarms = []adminapi.Alarm{}
	before, err := parse(sel.Cursor)
	if err != nil {
		return list, err
	}
	for _, a := range active {
		switch {
		case a.Sequence >= before || sel.Kind != "" && sel.Kind != a.Kind || sel.Subject != "" && sel.Subject != a.Subject:
		case len(list.Alarms) == sel.Limit:
			list.Next = cursorOf(list.Alarms[sel.Limit-1].Seq)
			return list, nil
		default:
			list.Alarms = append(list.Alarms, adminapi.Alarm{Seq: a.Sequence, Alarm: a.Alarm.Alarm, Active: true, Since: a.Since})
		}
	}
	return list, nil
}
