package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// listed and tiled are how many predictions a page has, as rows and as tiles.
	listed, tiled = "50", "60"
	// maxShortcuts bounds the consumers that have a shortcut.
	maxShortcuts = 4
)

var predictionPages = map[string]page{
	"/predictions":               {template: "predictions", title: "Predictions", live: true, load: predictions},
	"/predictions/{source}/{id}": {template: "prediction", title: "Prediction", rail: "predictions", live: true, load: prediction},
	"/predictions/{source}":      {template: "prediction", title: "Prediction", rail: "predictions", live: true, load: prediction},
	"/events/{seq}":              {template: "event", title: "Event", rail: "predictions", load: loadEvent},
	"/events/replay":             orderPage("predictions", replayOrder),
}

var predictionActs = map[string]act{
	"/events/replay":     orderAct("predictions", replayOrder),
	"/predictions/watch": watchPrediction,
	"/predictions/poll":  pollPrediction,
}

// predictionsData is a page of predictions.
type predictionsData struct {
	Q, Cursor, View string
	Rows            []row
	Next            string
	Shortcuts       []shortcut
	// Wrong is why the search selects nothing.
	Wrong string
}

// row is one prediction of a list.
type row struct {
	adminapi.Prediction

	Took took
}

// shortcut is a term that is often searched for.
type shortcut struct {
	Label, Term string
	On          bool
	// Q is the search with the term, or without it when it is there.
	Q string
}

func predictions(v *visit) (any, error) {
	d := predictionsData{Q: v.param("q"), Cursor: v.param("cursor"), View: v.param("view")}
	if d.View != "grid" {
		d.View = ""
	}
	limit := listed
	if d.Grid() {
		limit = tiled
	}
	var consumers adminapi.ConsumerList
	var g errgroup.Group
	g.Go(func() error {
		list, err := ask[adminapi.PredictionList](v, "/predictions", valuesOf("q", d.Q, "cursor", d.Cursor, "limit", limit))
		if p, ok := errors.AsType[*problem](err); ok && p.Status == http.StatusBadRequest {
			d.Wrong = strings.TrimPrefix(p.Error(), "q: ")
			return nil
		}
		for _, p := range list.Predictions {
			d.Rows = append(d.Rows, row{p, tookOf(p.CreatedAt, p.CompletedAt, p.ReceivedAt, p.Inference)})
		}
		d.Next = list.Next
		return err
	})
	g.Go(func() error {
		consumers, _ = ask[adminapi.ConsumerList](v, "/consumers", nil) // without them a few shortcuts are missing
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if d.Cursor == "" && len(d.Rows) == 1 && d.Rows[0].ID == d.Q && !v.live() {
		return nil, elsewhere(predictionPath(d.Rows[0].Source, d.Q))
	}
	d.shortcuts(consumers.Consumers)
	return d, nil
}

// Grid reports whether predictions are tiles.
func (d predictionsData) Grid() bool { return d.View == "grid" }

func (d *predictionsData) shortcuts(consumers []adminapi.ConsumerState) {
	d.Shortcuts = []shortcut{
		{Label: "Completed", Term: "status:completed"},
		{Label: "Failed", Term: "status:failed"},
		{Label: "Processing", Term: "status:processing"},
		{Label: "Missing", Term: "missing"},
		{Label: "Outputs deleted in 24 h", Term: "expires<24h"},
		{Label: "Last hour", Term: "since:1h"},
	}
	slices.SortStableFunc(consumers, func(a, b adminapi.ConsumerState) int { return cmp.Compare(b.Dead, a.Dead) })
	for _, c := range consumers[:min(len(consumers), maxShortcuts)] {
		if c.Dead > 0 {
			d.Shortcuts = append(d.Shortcuts, shortcut{Label: c.Name + ": dead letter", Term: "consumer:" + c.Name + "=dead"})
		}
	}
	have := terms(d.Q)
	for i := range d.Shortcuts {
		c := &d.Shortcuts[i]
		c.On, c.Q = slices.Contains(have, c.Term), withTerm(d.Q, c.Term)
	}
}

// Since is how long an open prediction has been known.
func (r row) Since() time.Duration { return time.Since(r.FirstSeen) }

// Handled is how many consumers have handled it.
func (r row) Handled() (n int) {
	for _, c := range r.Consumers {
		if c.State == adminapi.StandingHandled {
			n++
		}
	}
	return n
}

// Unhandled are consumers that failed, or gave up.
func (r row) Unhandled() (out []adminapi.ConsumerStanding) {
	for _, c := range r.Consumers {
		if c.State != adminapi.StandingHandled {
			out = append(out, c)
		}
	}
	return out
}

// References reports whether a prediction of the page has a reference or a tenant.
func (d predictionsData) References() bool {
	return slices.ContainsFunc(d.Rows, func(r row) bool { return r.Reference != "" || r.Tenant != "" })
}
