package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/bridge/internal/lists"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/attemptrecord"
)

type (
	deadLetters struct {
		*redelivery.DeadLetters
		*redelivery.Redeliverer
		*lists.Lists
	}
	events struct {
		*redelivery.Events
		*redelivery.Redeliverer
		*lists.Lists
	}
	keptLists struct {
		keptEntries
		*lists.Lists
	}
)

func (a *App) runAPI() error {
	// Requests that wait for a prediction must not hold up the end.
	if a.waiting != nil {
		a.group.Go(func() error { <-a.ctx.Done(); a.waiting.Close(); return nil })
	}
	if a.audit == nil {
		return nil
	}
	if err := a.openLive(); err != nil {
		return err
	}
	w, err := a.openWork()
	if err != nil {
		return err
	}
	a.operators.SetAPI(func(api *echo.Group) { a.registerAPI(api, w) })
	a.group.Go(func() error { <-a.ctx.Done(); a.submits.Close(); return nil })
	return nil
}

// work is what the API has done, at once or as jobs.
type work struct {
	again  *redelivery.Redeliverer
	kept   keptEntries
	eraser *erase.Eraser
	jobs   *jobs.Jobs
	// outputs are what archives have.
	outputs archivedOutputs
	poll    pollOperator
}

// openWork begins to do the jobs that wait.
func (a *App) openWork() (w work, err error) {
	names := a.cfg.Names()
	w.again = redelivery.NewRedeliverer(a.store.work, erase.BlockGate{Blocks: a.store.publisher, Registry: a.store.erased}, redelivery.Config{
		Names:   names,
		Handled: attemptrecord.NewLookup(a.store.work, names).Handled,
		Filter:  a.filterOf,
		Group:   view.DeadGroupID,
		Outputs: a.outputsOf,
	})
	w.kept, w.eraser = a.keptEntries(), a.eraser()
	if w.outputs, err = a.openArchives(); err != nil {
		return w, err
	}
	w.poll.app = a
	if w.poll.sources, err = a.polledSources(); err != nil {
		return w, err
	}
	w.jobs, err = a.openJobs(w.again, w.kept, w.eraser)
	return w, err
}

func (a *App) registerAPI(api *echo.Group, w work) {
	js, names := a.store.consume, a.cfg.Names()
	all := lists.New(a.view, js, names)
	admin.RegisterJobs(api, w.jobs)
	admin.RegisterQuarantine(api, keptLists{w.kept, all})
	admin.RegisterConsumers(api, consumerOperator{a.store.durables(), a.store})
	admin.RegisterDeadLetters(api, deadLetters{redelivery.NewDeadLetters(js, names), w.again, all})
	admin.RegisterEvents(api, events{redelivery.NewEvents(js, names), w.again, all})
	admin.RegisterSubmit(api, a.submits)
	admin.RegisterCaller(api)
	admin.RegisterNames(api, a.names)
	admin.RegisterSources(api, a.sourceList)
	if j := a.store.journal; j != nil {
		admin.RegisterJournal(api, journalOperator{j})
	} else {
		admin.RegisterJournal(api, nil)
	}
	admin.RegisterPredictions(api, a.knownPredictions(), a.waiting, a.announcer())
	admin.RegisterPoll(api, a.knownPredictions(), w.poll)
	admin.RegisterTestEvents(api, a.sendTest)
	admin.RegisterOutputs(api, a.knownPredictions(), w.outputs, a.log.Named("outputs"))
	admin.RegisterFigures(api, newFigures(a, all))
	admin.RegisterErase(api, w.eraser)
	admin.RegisterView(api, viewOperator{a.view, a})
	admin.RegisterAudit(api, a.audit)
	admin.RegisterConfig(api, a.configInForce)
	admin.RegisterBackup(api, a.sendBackup)
	admin.RegisterLive(api, a.live)
	admin.RegisterDoctor(api, &doctorOperator{app: a})
}

// filterOf returns the filter of a configured consumer.
func (a *App) filterOf(consumer string) (bridge.Filter, bool) {
	c, ok := a.cfg.Consumers[consumer]
	if !ok {
		return bridge.Filter{}, false
	}
	return c.Base().Filter.Filter(), true
}

// outputsOf adds where the outputs of predictions are.
func (a *App) outputsOf(ctx context.Context, of []redelivery.Prediction, to *adminapi.OutputsPlan) error {
	keys := make([]view.Key, len(of))
	for i, p := range of {
		keys[i] = view.Key(p)
	}
	c, err := a.view.Custody(ctx, keys, time.Now())
	if err != nil {
		return err
	}
	to.Predictions += len(of)
	to.Unknown += c.Unknown
	to.Archived += c.Archived
	to.Gone += c.Gone
	to.NotArchived += c.Others
	return nil
}

func (a *App) names(ctx context.Context) (adminapi.Names, error) {
	list, err := a.store.standing.get(ctx)
	if err != nil {
		return adminapi.Names{}, err
	}
	names := adminapi.Names{Consumers: []string{}, Sources: slices.Sorted(maps.Keys(*a.submits.sources.now.Load()))}
	for _, c := range list {
		names.Consumers = append(names.Consumers, c.Name)
	}
	// It has dead letters and no durable.
	names.Consumers = append(names.Consumers, bridge.PredictionsConsumer)
	slices.Sort(names.Consumers)
	return names, nil
}
