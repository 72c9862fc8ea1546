package app

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/predictions/watches"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// known is what the API offers of predictions.
type known struct {
	*predictions.Reader
	*await.Past

	js    jetstream.JetStream
	names bridge.Names
	cfg   *config.Config
}

// Walk reads the ledger.
func (k known) Walk(ctx context.Context, sel adminapi.PredictionSelection, visit func(uint64, *bridge.PredictionState) error) error {
	return k.Reader.Walk(ctx, predictions.Selection(sel), visit)
}

// Rebuild has whoever leads the ledger fold it again.
func (k known) Rebuild(ctx context.Context) error { return predictions.Rebuild(ctx, k.js, k.names) }

// Life is zero for a source that is not configured any more: nobody knows then.
func (k known) Life(name string) time.Duration {
	kind, err := source.KindOf(k.cfg.Sources[name].Kind)
	if err != nil {
		return 0
	}
	return kind.OutputLife()
}

// newHub makes what waits for predictions. It listens when somebody does.
func newHub(s *store, metrics prometheus.Registerer, log *zap.Logger) (*await.Hub, error) {
	hub := await.New(s.consume, predictions.NewReader(s.consume, s.cfg.Names), s.cfg.Names, log)
	return hub, register(metrics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hookspan_prediction_waiters", Help: "Requests that wait for the end of a prediction or follow one.",
	}, func() float64 { return float64(hub.Waiting()) }))
}

// registerPredictions adds the routes about predictions.
func (s *store) registerPredictions(api *echo.Group, cfg *config.Config, hub *await.Hub) {
	names := s.cfg.Names
	admin.RegisterPredictions(api, known{
		Reader: predictions.NewReader(s.consume, names), Past: await.NewPast(s.consume, names), js: s.consume, names: names, cfg: cfg,
	}, hub, s.announcer(cfg))
}

// announcer publishes as the ingress does, so that the spool takes what NATS cannot.
func (s *store) announcer(cfg *config.Config) *watches.Announcer {
	return watches.NewAnnouncer(s.events(), func(name string) bool { _, ok := cfg.Sources[name]; return ok })
}

// runWatches lets programs announce predictions by NATS, and returns when ctx has ended.
func (s *store) runWatches(ctx context.Context, cfg *config.Config, log *zap.Logger) {
	service := watches.NewService(s.consume, s.announcer(cfg), watches.Config{Names: s.cfg.Names, Alarms: s.alarms, Logger: log})
	if err := service.Run(ctx); err != nil {
		log.Error("predictions cannot be announced by NATS any more; the API still takes them", zap.Error(err))
	}
}
