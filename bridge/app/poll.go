package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// pollOperator polls providers for people.
type pollOperator struct {
	app     *App
	sources map[string]poller.SourceConfig
}

// Poll asks a provider once, and stores the end of the prediction if it has one.
func (o pollOperator) Poll(ctx context.Context, name, id string, state *bridge.PredictionState) (adminapi.Polled, error) {
	cfg, ok := o.sources[name]
	switch {
	case !ok:
		return adminapi.Polled{}, fmt.Errorf("source %s: %w", name, adminapi.ErrNoSource)
	case o.app.store.erased.Has(name, id):
		return adminapi.Polled{}, &adminapi.Refusal{Status: http.StatusConflict, Detail: "The prediction was erased for good, so it is not asked for."}
	case cfg.Provider == nil || !cfg.Provider.HasKey():
		return adminapi.Polled{}, &adminapi.Refusal{Status: http.StatusConflict, Detail: "The provider of this source cannot be asked: set sources." + name + ".api.key."}
	}
	result, said, end, err := poller.Ask(ctx, id, cfg, state)
	if err != nil {
		return adminapi.Polled{}, notTold(err)
	}
	polled := adminapi.Polled{Result: result, Said: said}
	if end == nil {
		return polled, nil
	}
	receipt, err := o.app.store.keep().Publish(ctx, end)
	if err != nil {
		return polled, fmt.Errorf("storing the end of a prediction: %w", err)
	}
	o.app.log.Named("poll").Info("somebody asked the provider, and the prediction has ended",
		zap.String("source", name), zap.String("prediction", id), zap.String("status", end.Status), zap.String("result", string(receipt.Result)))
	if polled.Stored = receipt.Result; polled.Stored != bridge.Erasure {
		polled.ID = end.ID
	}
	return polled, nil
}

// notTold is the answer when a provider did not say how a prediction is.
func notTold(err error) error {
	if later, ok := errors.AsType[*provider.TryLaterError](err); ok {
		return &adminapi.Refusal{Status: http.StatusServiceUnavailable, Detail: "The provider does not want to be asked now: try again later. It says: " + err.Error(), RetryAfter: later.After}
	}
	return &adminapi.Refusal{Status: http.StatusBadGateway, Detail: "The provider did not answer as it should: " + err.Error()}
}
