package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/lists"
	"github.com/hookspan/hookspan/bridge/internal/status"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// figuresOperator is the figures as the API calls them.
type figuresOperator struct {
	*lists.Lists

	app    *App
	status *fresh[adminapi.Status]
}

func newFigures(a *App, all *lists.Lists) *figuresOperator {
	o := &figuresOperator{Lists: all, app: a}
	o.status = newFresh(func(ctx context.Context) (adminapi.Status, error) { return o.ask(ctx), nil })
	return o
}

// Status returns how the bridge does, as of a second ago at most. What cannot be asked is named
// in it, so there is an answer whatever is away.
func (o *figuresOperator) Status(ctx context.Context) (adminapi.Status, error) {
	return o.status.get(ctx)
}

func (o *figuresOperator) ask(ctx context.Context) adminapi.Status {
	a, names, now := o.app, o.app.cfg.Names(), time.Now().UTC()
	st := adminapi.Status{At: now}
	facts := status.Facts{Now: now, Reasons: a.checks.Reasons(), Archives: a.archives()}
	unknown := func(what string, err error) {
		if err != nil {
			st.Unknown = append(st.Unknown, what)
		}
	}

	// The view first: NATS may use up the time.
	figures, err := a.view.Figures(ctx, now)
	unknown("what happened", err)
	alarms, err := o.Alarms(ctx, adminapi.AlarmSelection{Active: true, Limit: maxActiveAlarms})
	unknown("alarms", err)
	facts.Alarms, st.AlarmsActive = alarms.Alarms, len(alarms.Alarms)

	facts.View, err = viewOperator{a.view, a}.Status(ctx)
	unknown("missing predictions", err)
	own := a.view.Status() // without who polls, which NATS says
	facts.View.Error, facts.View.Since = own.Error, own.Since
	facts.Sources, facts.Folded = facts.View.Sources, facts.View.Streams[names.EventsStream()]
	st.View = adminapi.StatusView{UpToDate: facts.View.UpToDate, Behind: facts.Folded.Behind, Rebuilding: facts.View.Rebuilding}
	st.Dead, st.Quarantined, st.Refused = facts.View.Streams[names.DeadStream()].Messages, facts.View.Streams[names.QuarantineStream()].Messages, facts.View.Streams[names.RefusedStream()].Messages
	facts.Dead, facts.Quarantined = st.Dead, st.Quarantined

	st.AcceptedPerMinute = figures.Accepted
	st.Outputs = adminapi.StatusOutputs{Unarchived: figures.Unarchived, NextDeletedAt: figures.NextDeleted}
	facts.NextDeleted = figures.NextDeleted
	p := adminapi.StatusPredictions{From: figures.From, ByWebhook: figures.ByWebhook, ByPoll: figures.ByPoll, Otherwise: figures.ByOther, GivenUp: figures.Lost}
	for _, name := range slices.Sorted(maps.Keys(facts.Sources)) {
		s := facts.Sources[name]
		p.Open, p.Missing = p.Open+int64(s.Open), p.Missing+int64(s.Overdue)
		if s.Overdue > 0 && (p.OldestMissing.IsZero() || s.Oldest.Before(p.OldestMissing)) {
			p.OldestMissing = s.Oldest
		}
	}
	p.Expected = p.ByWebhook + p.ByPoll + p.Otherwise + p.Missing + p.GivenUp
	st.Predictions = p

	if j := a.store.journal; j != nil {
		s := j.State()
		facts.JournalPlace = a.store.journalPlace()
		facts.Journal = &adminapi.Journal{Records: s.Records, Oldest: s.Oldest, SetAside: s.SetAside, Failure: s.Failure}
		st.Journal = &adminapi.StatusJournal{Waiting: s.Records, Oldest: s.Oldest, SetAside: s.SetAside}
	}
	facts.Consumers, err = a.store.standing.get(ctx)
	unknown("consumers", err)
	st.Consumers = status.Count(facts.Consumers)
	facts.Unknown = st.Unknown
	st.State, st.Problems = status.Judge(facts)
	return st
}

// maxActiveAlarms bounds the alarms that are counted.
const maxActiveAlarms = 1000

// archives reports whether the configuration has an archive.
func (a *App) archives() bool {
	for _, c := range a.cfg.Consumers {
		if c.Base().Kind == config.KindArchive {
			return true
		}
	}
	return false
}
