package app

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type known struct {
	*predictions.Reader
	*await.Past

	js    jetstream.JetStream
	names bridge.Names
	cfg   *config.Config
}

func (k known) Walk(ctx context.Context, sel adminapi.PredictionSelection, visit func(uint64, *bridge.PredictionState) error) error {
	return k.Reader.Walk(ctx, predictions.Selection(sel), visit)
}

// Rebuild has the leader of the prediction store fold all events again.
func (k known) Rebuild(ctx context.Context) error { return predictions.Rebuild(ctx, k.js, k.names) }

// Life is how long a source's provider keeps outputs, zero for a source that is not configured.
func (k known) Life(name string) time.Duration {
	kind, err := source.KindOf(k.cfg.Sources[name].Kind)
	if err != nil {
		return 0
	}
	return kind.OutputLife()
}

// openWaiting makes the hub of requests that wait for predictions. It listens only while one
// waits.
func (a *App) openWaiting() error {
	js, names := a.store.consume, a.cfg.Names()
	a.waiting = await.New(js, predictions.NewReader(js, names), names, a.log)
	a.onStop.add("waiting for predictions", func() error { a.waiting.Close(); return nil })
	return a.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hookspan_prediction_waiters", Help: "Requests that wait for the end of a prediction or follow one.",
	}, func() float64 { return float64(a.waiting.Waiting()) }))
}

func (a *App) knownPredictions() known {
	js, names := a.store.consume, a.cfg.Names()
	return known{Reader: predictions.NewReader(js, names), Past: await.NewPast(js, names), js: js, names: names, cfg: a.cfg}
}
