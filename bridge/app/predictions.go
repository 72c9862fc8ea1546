package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/confirmer"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/predictions/watches"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// openPredictions makes the leader of the polling, with the role reconciler.
func (a *App) openPredictions() error {
	if !a.cfg.Has(config.RoleReconciler) {
		return nil
	}
	sources, err := a.polledSources()
	if err != nil {
		return err
	}
	confirmed := map[string]confirmer.Source{}
	for name, s := range sources {
		if s.Provider != nil && s.Source.Confirms() {
			confirmed[name] = confirmer.Source{Source: s.Source, Provider: s.Provider, Rate: s.Rate}
		}
	}
	events := keptEvents{a.store.publisher, a.store.keep()}
	a.predictions = predictions.NewLeader(a.store.consume, events, predictions.Config{
		Names: a.cfg.Names(), Sources: sources,
		Keep: time.Duration(a.cfg.View.Keep), GiveUpAfter: time.Duration(a.cfg.Predictions.GiveUpAfter),
		Process: processName(), Alarms: a.store.alarms, Logger: a.log,
	})
	a.confirmer = confirmer.New(a.store.consume, confirmer.Config{
		Names: a.cfg.Names(), Sources: confirmed, Publish: events.Publish, Quarantine: a.kept.quarantine.Keep,
		Refuse:   func(w *bridge.KeptDelivery) { a.kept.refused.Offer(w, nil) },
		BindOnly: a.cfg.NATS.Provision != config.ProvisionCreate, Alarms: a.store.alarms, Logger: a.log.Named("confirmer"),
	})
	return a.register(a.predictions.Collectors()...)
}

// polledSources are how predictions are polled for, by source.
func (a *App) polledSources() (map[string]poller.SourceConfig, error) {
	sources := map[string]poller.SourceConfig{}
	for name, s := range a.cfg.Sources {
		// The source only decodes the provider's answers, which needs no secret.
		src, err := source.New(source.Config{Name: name, Kind: s.Kind, Options: s.Options(), HasKey: s.API.Key != "", MaxAge: time.Duration(s.MaxAge)})
		if err != nil {
			return nil, err
		}
		sources[name] = poller.SourceConfig{
			Source: src, Provider: a.providers.poller(name), Rate: float64(s.API.Rate), PollAfter: time.Duration(s.API.PollAfter), Query: s.Query,
		}
	}
	return sources, nil
}

// runPredictions runs the leader of the polling, and lets programs announce predictions by NATS.
// Neither may end the ingress.
func (a *App) runPredictions() error {
	if a.predictions == nil {
		return nil
	}
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, func(ctx context.Context) error {
		if err := a.predictions.Run(ctx, a.view); err != nil {
			a.log.Error("overdue predictions are not polled any more; webhooks are still accepted", zap.Error(err))
		}
		return nil
	}))
	if a.ingress == nil {
		a.group.Go(func() error { return a.kept.refused.Run(a.ctx) }) // otherwise the ingress runs it
	}
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, a.confirmer.Run))
	service := watches.NewService(a.store.consume, a.announcer(), watches.Config{Names: a.cfg.Names(), Alarms: a.store.alarms, Logger: a.log})
	a.group.Go(func() error {
		if err := service.Run(a.ctx); err != nil {
			a.log.Error("predictions cannot be announced by NATS any more; the API still takes them", zap.Error(err))
		}
		return nil
	})
	return nil
}

// announcer publishes as the ingress does.
func (a *App) announcer() *watches.Announcer {
	return watches.NewAnnouncer(a.store.keep(), func(name string) bool { _, ok := a.cfg.Sources[name]; return ok })
}
