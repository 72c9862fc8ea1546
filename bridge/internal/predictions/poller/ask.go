package poller

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// results are what the results of a poll are called in the API.
var results = map[string]adminapi.PollResult{
	pollEnded: adminapi.PollEnded, pollOpen: adminapi.PollOpen, pollNotFound: adminapi.PollNotFound,
}

// Ask polls once for a prediction because somebody wants to know now, outside the turns that
// the leader keeps. Said is the provider's status, or empty. The event is the end of the
// prediction, nil without one; nothing has stored it. State is what is known of the prediction, nil
// for nothing. The source must have a provider. The error is that of [Provider.Result], or says why
// the answer is not usable.
func Ask(ctx context.Context, id string, cfg SourceConfig, state *bridge.PredictionState) (result adminapi.PollResult, said string, end *bridge.Event, err error) {
	var model string
	if state != nil {
		model = state.Model
	}
	a := request(ctx, cfg, id, model, time.Now().UTC(), defaultTimings().answer)
	result, ok := results[a.result]
	if !ok {
		return "", "", nil, a.err
	}
	if a.result == pollNotFound {
		return result, "", nil, nil
	}
	if a.event != nil && state != nil {
		a.event.Query = queryOf(cfg.Query, state.Announced)
	}
	return result, a.said, a.event, nil
}
