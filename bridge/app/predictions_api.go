package app

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// behindFor is from which age on what the view lacks is searched among the events.
const behindFor = 2 * time.Minute

type known struct {
	*view.View

	past      *await.Past
	cfg       *config.Config
	consumers func(ctx context.Context) ([]adminapi.ConsumerState, error)
}

// List returns a page of predictions.
func (k known) List(ctx context.Context, sel adminapi.PredictionSelection) (adminapi.PredictionList, error) {
	page, next, err := k.Predictions(ctx, queryOf(sel))
	list := adminapi.PredictionList{Predictions: make([]adminapi.Prediction, 0, len(page)), Next: next}
	for _, row := range page {
		p := adminapi.NewPrediction(row.State)
		p.OutputsExpireAt = row.Expires
		for _, s := range row.Standings {
			p.Consumers = append(p.Consumers, adminapi.ConsumerStanding{Consumer: s.Consumer, State: adminapi.Standing(s.State)})
		}
		list.Predictions = append(list.Predictions, p)
	}
	return list, err
}

func queryOf(sel adminapi.PredictionSelection) view.Query {
	q := view.Query{
		Source: sel.Source, Status: sel.Status, Reference: sel.Reference, Tenant: sel.Tenant, Model: sel.Model, IDPrefix: sel.IDPrefix,
		Missing: sel.Missing, ExpiresBefore: sel.ExpiresBefore,
		Open: sel.Open, Since: sel.Since, Until: sel.Until, Cursor: sel.Cursor, Limit: sel.Limit,
	}
	for _, c := range sel.Consumers {
		q.Consumers = append(q.Consumers, view.Standing{Consumer: c.Consumer, State: view.LaneState(c.State)})
	}
	return q
}

// Find searches the stored events for a prediction that the view does not know.
func (k known) Find(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	return k.past.Find(ctx, source, id)
}

// Behind reports whether the view may lack ends that came minutes ago.
func (k known) Behind() bool {
	if k.UpToDate() {
		return false
	}
	st := k.Status()
	at := st.Streams[k.cfg.Names().EventsStream()]
	return st.Rebuilding || at.Behind > 0 && time.Since(at.FoldedAt) > behindFor
}

// Life is how long a source's provider keeps outputs, zero for a source that is not configured.
func (k known) Life(name string) time.Duration {
	return k.cfg.OutputLife(name)
}

func (a *App) knownPredictions() known {
	return known{View: a.view, past: await.NewPast(a.store.consume, a.cfg.Names()), cfg: a.cfg, consumers: a.store.standing.get}
}
