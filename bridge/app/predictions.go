package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// newLedger makes the ledger of predictions, nil when this process has no such role.
// It writes where events are, without the spool: whoever leads it has read them from
// there. Asker returns how the provider of a source is asked, nil when it is not.
func newLedger(cfg *config.Config, store *store, asker func(source string) poller.Provider, metrics prometheus.Registerer, log *zap.Logger) (*predictions.Leader, error) {
	if !cfg.Has(config.RoleReconciler) {
		return nil, nil
	}
	sources := map[string]poller.SourceConfig{}
	for name, s := range cfg.Sources {
		// It only reads what the provider answers, and that needs no secret.
		src, err := source.New(source.Config{Name: name, Kind: s.Kind, MaxAge: time.Duration(s.MaxAge)})
		if err != nil {
			return nil, err
		}
		sources[name] = poller.SourceConfig{
			Source: src, Provider: asker(name), Rate: float64(s.API.Rate), PollAfter: time.Duration(s.API.PollAfter), Query: s.Query,
		}
	}
	ledger := predictions.NewLeader(store.consume, store.publisher, predictions.Config{
		Names: cfg.Names(), Sources: sources,
		Keep: time.Duration(cfg.Predictions.Keep), GiveUpAfter: time.Duration(cfg.Predictions.GiveUpAfter),
		Process: processName(), BindOnly: cfg.NATS.Provision != config.ProvisionCreate,
		Alarms: store.alarms, Logger: log,
	})
	return ledger, register(metrics, ledger.Collectors()...)
}

// runLedger returns when ctx has ended. A ledger that cannot go on must not take the
// ingress with it.
func runLedger(ctx context.Context, ledger *predictions.Leader, log *zap.Logger) {
	if err := ledger.Run(ctx); err != nil {
		log.Error("the ledger of predictions has ended; webhooks are still accepted and kept for it", zap.Error(err))
	}
}
