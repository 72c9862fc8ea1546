package fold_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestFoldsALife(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Watched(t, bridge.Watch{Reference: "order 7", EstimatedDuration: 20}))
	require.True(t, s.Open())
	require.Equal(t, s.FirstSeen.Add(time.Minute), s.ExpectedBy)
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"processing"`))
	require.Equal(t, bridge.StatusProcessing, s.Status)
	end := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
	require.Equal(t, fold.Folded{Ended: true}, foldtest.Next(&s, end))
	require.False(t, s.Open())
	require.Equal(t, 2, s.OutputCount)
	require.Equal(t, "https://cdn.get3w.com/a.png", s.Outputs[0].URL, "a query can be a credential")
	require.Equal(t, 3*time.Second, s.CompletedAt.Sub(s.CreatedAt))
	require.Zero(t, s.Inference, "the provider did not tell")
	foldtest.Next(&s, foldtest.Archived(t, end, bridge.Archived{
		Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png", SHA256: "00"}}, Missing: []bridge.MissingOutput{{N: 1, Error: "gone"}}, Manifest: "file:///m.json",
	}))
	require.Equal(t, []bridge.Custody{bridge.CustodyStored, bridge.CustodyFailed}, []bridge.Custody{s.Outputs[0].Custody, s.Outputs[1].Custody})
	require.Equal(t, []int{1, 1}, []int{s.Stored, s.Failed})
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Len(t, s.Events, 4)
}

func TestStatusNeverGoesBack(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"processing"`))
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"created"`))
	require.Equal(t, bridge.StatusProcessing, s.Status)
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"failed","error":"no"`))
	for _, rest := range []string{`"status":"created"`, `"status":"processing"`, `"status":"later"`} {
		require.Equal(t, fold.Folded{}, foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, rest)))
		require.Equal(t, bridge.StatusFailed, s.Status)
	}
	require.Equal(t, "no", s.Error)
}

func TestSecondEndIsAConflict(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, foldtest.Done))
	require.Equal(t, fold.Folded{Known: true}, foldtest.Next(&s, foldtest.Told(t, bridge.OriginPoll, foldtest.Done)), "the same fact by another way")
	require.Len(t, s.Events, 1)
	require.Equal(t, fold.Folded{Conflict: true}, foldtest.Next(&s, foldtest.Told(t, bridge.OriginPoll, `"status":"failed","error":"no"`)))
	require.True(t, s.Conflict)
	require.Equal(t, bridge.StatusCompleted, s.Status, "the first one counts")
	require.Equal(t, bridge.OriginWebhook, s.Origin)
	require.True(t, s.Events[1].Conflict)
}

func TestFoldingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	events := []*bridge.Event{foldtest.Watched(t, bridge.Watch{}), foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)}
	for i, e := range events {
		fold.Fold(&s, e, fold.At{Sequence: uint64(i + 1), StoredAt: foldtest.Noon})
	}
	before, err := json.Marshal(s)
	require.NoError(t, err)
	for i, e := range events {
		require.True(t, fold.Fold(&s, e, fold.At{Sequence: uint64(i + 1), StoredAt: foldtest.Noon.Add(time.Hour)}).Known)
	}
	after, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after))
}

func TestLostAndFound(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Watched(t, bridge.Watch{}))
	lost, err := (&bridge.Lost{Source: "get3w", Prediction: "pred_1", Cause: bridge.DeadNotFound, LostAt: foldtest.Noon}).Event()
	require.NoError(t, err)
	foldtest.Next(&s, lost)
	require.False(t, s.Open())
	fold.Fold(&s, foldtest.Watched(t, bridge.Watch{}), fold.At{Sequence: 10, StoredAt: foldtest.Noon, Again: true})
	require.True(t, s.Open(), "it was redriven")
	foldtest.Next(&s, lost)
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, foldtest.Done))
	require.Nil(t, s.Lost)
	foldtest.Next(&s, lost)
	require.Nil(t, s.Lost, "it has its end")
}

func TestArchivedAloneIsAnEnd(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	end := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
	foldtest.Next(&s, foldtest.Archived(t, end, bridge.Archived{Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png"}, {N: 1, URL: "file:///b"}}}))
	require.Equal(t, bridge.StatusCompleted, s.Status)
	require.Equal(t, 2, s.Stored)
	require.False(t, s.Open())
}

func TestStateIsBounded(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"processing"`))
	for i := range 100 {
		foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, fmt.Sprintf(`"status":"processing","n":%d`, i)))
	}
	outputs := make([]string, 1000)
	list, err := json.Marshal(outputs)
	require.NoError(t, err)
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list)))
	for i := range 100 {
		foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, fmt.Sprintf(`"status":"failed","error":"%d"`, i)))
	}
	require.Len(t, s.Events, fold.MaxStateEvents)
	require.Len(t, s.Outputs, fold.MaxStateOutputs)
	require.Equal(t, 1000, s.OutputCount)
	require.EqualValues(t, 1, s.Events[0].Sequence)
	require.True(t, slices.ContainsFunc(s.Events, func(ref bridge.EventRef) bool {
		return ref.Kind == bridge.KindPrediction && bridge.Terminal(ref.Status) && !ref.Conflict
	}), "the event that counts is remembered")
}

func TestExpires(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, foldtest.Done))
	require.Equal(t, s.CompletedAt.Add(2*time.Hour), s.OutputsExpireAt(2*time.Hour))
	require.Zero(t, s.OutputsExpireAt(0), "they are kept for ever")
	s.Expire(s.CompletedAt.Add(time.Hour), 2*time.Hour)
	require.Equal(t, bridge.CustodyPending, s.Outputs[0].Custody)
	s.Expire(s.CompletedAt.Add(2*time.Hour), 2*time.Hour)
	require.Equal(t, bridge.CustodyExpired, s.Outputs[0].Custody)
	require.Equal(t, bridge.CustodyPending, s.Outputs[1].Custody, "it was never an address")
	require.Zero(t, s.OutputsExpireAt(2*time.Hour), "nothing is left to delete")
}

func FuzzFold(f *testing.F) {
	f.Add([]byte(`{"id":"pred_1","status":"completed","outputs":["https://x/y?z"]}`), bridge.TypeArchived, "completed")
	f.Add([]byte(`{"outputs":[{"n":-1}],"missing":[{"n":99}]}`), bridge.TypeArchived, "completed")
	f.Fuzz(func(t *testing.T, body []byte, kind, status string) {
		var s bridge.PredictionState
		for i := range uint64(3) {
			fold.Fold(&s, &bridge.Event{ID: "x", PredictionID: "x", Source: "get3w", Type: kind, Status: status, Body: body}, fold.At{Sequence: i + 1})
		}
		if s.OutputCount < len(s.Outputs) || len(s.Outputs) > fold.MaxStateOutputs {
			t.Fatalf("%d outputs of %d", len(s.Outputs), s.OutputCount)
		}
	})
}

// When the stream or the view forgot an event, a copy for the view
// alone is that event at its old place.
func TestCopyOfAnEndIsTheEnd(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Watched(t, bridge.Watch{}))
	end := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
	f := fold.Fold(&s, end, fold.At{Sequence: 100, StoredAt: foldtest.Noon, Again: true, Original: 7})
	require.True(t, f.Ended)
	require.Equal(t, bridge.StatusCompleted, s.Status)
	require.EqualValues(t, 7, s.Events[1].Sequence)
	require.EqualValues(t, 100, s.Sequence)
}

// A redriven dead letter brings back a prediction that the store has forgotten.
func TestRedrivenAfterItWasForgotten(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	watch := foldtest.Watched(t, bridge.Watch{Reference: "order 7", EstimatedDuration: 20})
	fold.Fold(&s, watch, fold.At{Sequence: 100, StoredAt: foldtest.Noon, Again: true, Original: 7})
	require.True(t, s.Open())
	require.Equal(t, "get3w/flux-dev", s.Model)
	require.NotNil(t, s.Announced)
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Equal(t, foldtest.Noon.Add(time.Minute), s.ExpectedBy)
	foldtest.Next(&s, foldtest.Watched(t, bridge.Watch{Reference: "order 8"}))
	fold.Fold(&s, watch, fold.At{Sequence: 200, StoredAt: foldtest.Noon, Again: true, Original: 7})
	require.Equal(t, "order 8", s.Announced.Reference, "the newer word stays")
}

// An end that is known from the archive alone does not conflict with the same end told
// later.
func TestEndAfterItsArchiveIsNoConflict(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	end := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
	foldtest.Next(&s, foldtest.Archived(t, end, bridge.Archived{Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png"}, {N: 1, URL: "file:///b"}}}))
	require.Equal(t, fold.Folded{}, foldtest.Next(&s, end))
	require.False(t, s.Conflict)
	require.Equal(t, 2, s.Stored)
	require.Equal(t, fold.Folded{Known: true}, foldtest.Next(&s, end))
	require.True(t, foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"failed","error":"no"`)).Conflict)
}

// Many long addresses are left out together, whichever event holds them.
func TestOutputsAreBounded(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return "https://x/" + strings.Repeat("&", n) }
	list, err := json.Marshal(slices.Repeat([]string{long(3000)}, 60))
	require.NoError(t, err)
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list)))
	require.Empty(t, s.Outputs)
	require.Equal(t, 60, s.OutputCount)

	list, err = json.Marshal(slices.Repeat([]string{"https://x/a"}, 60))
	require.NoError(t, err)
	s = bridge.PredictionState{}
	end := foldtest.Told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list))
	foldtest.Next(&s, end)
	require.Len(t, s.Outputs, 60)
	var a bridge.Archived
	for n := range 60 {
		a.Outputs = append(a.Outputs, bridge.ArchivedOutput{N: n, URL: long(3000)})
	}
	foldtest.Next(&s, foldtest.Archived(t, end, a))
	require.Empty(t, s.Outputs)
	require.Equal(t, []int{60, 60}, []int{s.OutputCount, s.Stored})
}
