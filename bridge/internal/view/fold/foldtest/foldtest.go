// Package foldtest makes events of a prediction pred_1 for tests.
package foldtest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// Noon is when deliveries of these tests arrive.
var Noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// Told is the provider's event about pred_1.
func Told(t testing.TB, origin, rest string) *bridge.Event {
	t.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	e, err := src.Read(source.Delivery{
		Body: []byte(`{"id":"pred_1","model":"get3w/flux-dev",` + rest + `}`), ReceivedAt: Noon, Origin: origin, AnyAge: true,
	})
	require.NoError(t, err)
	return e
}

// Watched is the announcement of pred_1.
func Watched(t testing.TB, w bridge.Watch) *bridge.Event {
	t.Helper()
	w.Source, w.Prediction, w.Model = "get3w", "pred_1", "get3w/flux-dev"
	e, err := w.Event(Noon)
	require.NoError(t, err)
	return e
}

// Archived says that the outputs of the event are archived.
func Archived(t testing.TB, of *bridge.Event, a bridge.Archived) *bridge.Event {
	t.Helper()
	a.Event, a.Prediction = of.ID, of.PredictionID
	body, err := json.Marshal(a)
	require.NoError(t, err)
	return &bridge.Event{
		ID: bridge.NewEventID("pred_1", "archived", body), Source: "get3w", Type: bridge.TypeArchived, PredictionID: "pred_1",
		Status: of.Status, RawStatus: of.RawStatus, Origin: bridge.OriginArchive, Time: Noon, ReceivedAt: Noon, Body: body,
	}
}

// Next folds e as the next event of the prediction, a second after the one before.
func Next(s *bridge.PredictionState, e *bridge.Event) fold.Folded {
	seq := s.Sequence + 1
	return fold.Fold(s, e, fold.At{Sequence: seq, StoredAt: Noon.Add(time.Duration(seq) * time.Second)})
}

// Done is the rest of a completed prediction's JSON.
const Done = `"status":"completed","outputs":["https://cdn.get3w.com/a.png?sig=1","text"],"created_at":"2026-01-31T11:00:00Z","completed_at":"2026-01-31T11:00:03Z"`
