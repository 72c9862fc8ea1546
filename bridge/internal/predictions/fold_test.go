package predictions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// told is what the provider says of pred_1, by whatever way.
func told(t testing.TB, origin, rest string) *bridge.Event {
	t.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	e, err := src.Read(source.Delivery{
		Body: []byte(`{"id":"pred_1","model":"get3w/flux-dev",` + rest + `}`), ReceivedAt: noon, Origin: origin, AnyAge: true,
	})
	require.NoError(t, err)
	return e
}

func watched(t testing.TB, w bridge.Watch) *bridge.Event {
	t.Helper()
	w.Source, w.Prediction, w.Model = "get3w", "pred_1", "get3w/flux-dev"
	e, err := w.Event(noon)
	require.NoError(t, err)
	return e
}

func archived(t testing.TB, of *bridge.Event, a bridge.Archived) *bridge.Event {
	t.Helper()
	a.Event, a.Prediction = of.ID, of.PredictionID
	body, err := json.Marshal(a)
	require.NoError(t, err)
	return &bridge.Event{
		ID: bridge.NewEventID("pred_1", "archived", body), Source: "get3w", Type: bridge.TypeArchived, PredictionID: "pred_1",
		Status: of.Status, RawStatus: of.RawStatus, Origin: bridge.OriginArchive, Time: noon, ReceivedAt: noon, Body: body,
	}
}

func fold(s *bridge.PredictionState, e *bridge.Event) Folded {
	seq := s.Sequence + 1
	return Fold(s, e, At{Sequence: seq, StoredAt: noon.Add(time.Duration(seq) * time.Second)})
}

const done = `"status":"completed","outputs":["https://cdn.get3w.com/a.png?sig=1","text"],"created_at":"2026-01-31T11:00:00Z","completed_at":"2026-01-31T11:00:03Z"`

func TestFoldsALife(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, watched(t, bridge.Watch{Reference: "order 7", EstimatedDuration: 20}))
	require.True(t, s.Open())
	require.Equal(t, s.FirstSeen.Add(time.Minute), s.ExpectedBy)
	fold(&s, told(t, bridge.OriginWebhook, `"status":"processing"`))
	require.Equal(t, bridge.StatusProcessing, s.Status)
	end := told(t, bridge.OriginWebhook, done)
	require.Equal(t, Folded{Ended: true}, fold(&s, end))
	require.False(t, s.Open())
	require.Equal(t, 2, s.OutputCount)
	require.Equal(t, "https://cdn.get3w.com/a.png", s.Outputs[0].URL, "a query can be a credential")
	require.Equal(t, 3*time.Second, s.CompletedAt.Sub(s.CreatedAt))
	fold(&s, archived(t, end, bridge.Archived{
		Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png", SHA256: "00"}}, Missing: []bridge.MissingOutput{{N: 1, Error: "gone"}}, Manifest: "file:///m.json",
	}))
	require.Equal(t, []bridge.Custody{bridge.CustodyStored, bridge.CustodyFailed}, []bridge.Custody{s.Outputs[0].Custody, s.Outputs[1].Custody})
	require.Equal(t, []int{1, 1}, []int{s.Stored, s.Failed})
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Len(t, s.Events, 4)
}

func TestStatusNeverGoesBack(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, told(t, bridge.OriginWebhook, `"status":"processing"`))
	fold(&s, told(t, bridge.OriginWebhook, `"status":"created"`))
	require.Equal(t, bridge.StatusProcessing, s.Status)
	fold(&s, told(t, bridge.OriginWebhook, `"status":"failed","error":"no"`))
	for _, rest := range []string{`"status":"created"`, `"status":"processing"`, `"status":"later"`} {
		require.Equal(t, Folded{}, fold(&s, told(t, bridge.OriginWebhook, rest)))
		require.Equal(t, bridge.StatusFailed, s.Status)
	}
	require.Equal(t, "no", s.Error)
}

func TestSecondEndIsAConflict(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, told(t, bridge.OriginWebhook, done))
	require.Equal(t, Folded{Known: true}, fold(&s, told(t, bridge.OriginPoll, done)), "the same fact by another way")
	require.Len(t, s.Events, 1)
	require.Equal(t, Folded{Conflict: true}, fold(&s, told(t, bridge.OriginPoll, `"status":"failed","error":"no"`)))
	require.True(t, s.Conflict)
	require.Equal(t, bridge.StatusCompleted, s.Status, "the first one counts")
	require.Equal(t, bridge.OriginWebhook, s.Origin)
	require.True(t, s.Events[1].Conflict)
}

func TestFoldingAgainChangesNothing(t *testing.T) {
	var s bridge.PredictionState
	events := []*bridge.Event{watched(t, bridge.Watch{}), told(t, bridge.OriginWebhook, done)}
	for i, e := range events {
		Fold(&s, e, At{Sequence: uint64(i + 1), StoredAt: noon})
	}
	before, err := json.Marshal(s)
	require.NoError(t, err)
	for i, e := range events {
		require.True(t, Fold(&s, e, At{Sequence: uint64(i + 1), StoredAt: noon.Add(time.Hour)}).Known)
	}
	after, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after))
}

func TestLostAndFound(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, watched(t, bridge.Watch{}))
	lost, err := (&bridge.Lost{Source: "get3w", Prediction: "pred_1", Cause: bridge.DeadNotFound, LostAt: noon}).Event()
	require.NoError(t, err)
	fold(&s, lost)
	require.False(t, s.Open())
	Fold(&s, watched(t, bridge.Watch{}), At{Sequence: 10, StoredAt: noon, Again: true})
	require.True(t, s.Open(), "it was redriven")
	fold(&s, lost)
	fold(&s, told(t, bridge.OriginWebhook, done))
	require.Nil(t, s.Lost)
	fold(&s, lost)
	require.Nil(t, s.Lost, "it has its end")
}

func TestArchivedAloneIsAnEnd(t *testing.T) {
	var s bridge.PredictionState
	end := told(t, bridge.OriginWebhook, done)
	fold(&s, archived(t, end, bridge.Archived{Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png"}, {N: 1, URL: "file:///b"}}}))
	require.Equal(t, bridge.StatusCompleted, s.Status)
	require.Equal(t, 2, s.Stored)
	require.False(t, s.Open())
}

func TestStateIsBounded(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, told(t, bridge.OriginWebhook, `"status":"processing"`))
	for i := range 100 {
		fold(&s, told(t, bridge.OriginWebhook, fmt.Sprintf(`"status":"processing","n":%d`, i)))
	}
	outputs := make([]string, 1000)
	list, err := json.Marshal(outputs)
	require.NoError(t, err)
	fold(&s, told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list)))
	for i := range 100 {
		fold(&s, told(t, bridge.OriginWebhook, fmt.Sprintf(`"status":"failed","error":"%d"`, i)))
	}
	require.Len(t, s.Events, MaxStateEvents)
	require.Len(t, s.Outputs, MaxStateOutputs)
	require.Equal(t, 1000, s.OutputCount)
	require.EqualValues(t, 1, s.Events[0].Sequence)
	require.NotEmpty(t, endOf(&s), "the event that counts is remembered")
}

func TestExpires(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, told(t, bridge.OriginWebhook, done))
	s.Expire(s.CompletedAt.Add(time.Hour), 2*time.Hour)
	require.Equal(t, bridge.CustodyPending, s.Outputs[0].Custody)
	s.Expire(s.CompletedAt.Add(2*time.Hour), 2*time.Hour)
	require.Equal(t, bridge.CustodyExpired, s.Outputs[0].Custody)
	require.Equal(t, bridge.CustodyPending, s.Outputs[1].Custody, "it was never an address")
}

func FuzzFold(f *testing.F) {
	f.Add([]byte(`{"id":"pred_1","status":"completed","outputs":["https://x/y?z"]}`), bridge.TypeArchived, "completed")
	f.Add([]byte(`{"outputs":[{"n":-1}],"missing":[{"n":99}]}`), bridge.TypeArchived, "completed")
	f.Fuzz(func(t *testing.T, body []byte, kind, status string) {
		var s bridge.PredictionState
		for i := range uint64(3) {
			Fold(&s, &bridge.Event{ID: "x", PredictionID: "x", Source: "get3w", Type: kind, Status: status, Body: body}, At{Sequence: i + 1})
		}
		if s.OutputCount < len(s.Outputs) || len(s.Outputs) > MaxStateOutputs {
			t.Fatalf("%d outputs of %d", len(s.Outputs), s.OutputCount)
		}
	})
}

// The stream forgot the event, or the ledger did: a copy for the ledger alone is that
// event, which lies where it always has.
func TestCopyOfAnEndIsTheEnd(t *testing.T) {
	var s bridge.PredictionState
	fold(&s, watched(t, bridge.Watch{}))
	end := told(t, bridge.OriginWebhook, done)
	f := Fold(&s, end, At{Sequence: 100, StoredAt: noon, Again: true, Original: 7})
	require.True(t, f.Ended)
	require.Equal(t, bridge.StatusCompleted, s.Status)
	require.EqualValues(t, 7, s.Events[1].Sequence)
	require.EqualValues(t, 100, s.Sequence)
}

// What the ledger has forgotten is known again from the letter that is redriven.
func TestRedrivenAfterItWasForgotten(t *testing.T) {
	var s bridge.PredictionState
	watch := watched(t, bridge.Watch{Reference: "order 7", EstimatedDuration: 20})
	Fold(&s, watch, At{Sequence: 100, StoredAt: noon, Again: true, Original: 7})
	require.True(t, s.Open())
	require.Equal(t, "get3w/flux-dev", s.Model)
	require.NotNil(t, s.Announced)
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Equal(t, noon.Add(time.Minute), s.ExpectedBy)
	fold(&s, watched(t, bridge.Watch{Reference: "order 8"}))
	Fold(&s, watch, At{Sequence: 200, StoredAt: noon, Again: true, Original: 7})
	require.Equal(t, "order 8", s.Announced.Reference, "the newer word stays")
}

// An end that is known from the archive alone is no other one than that which is told
// afterwards.
func TestEndAfterItsArchiveIsNoConflict(t *testing.T) {
	var s bridge.PredictionState
	end := told(t, bridge.OriginWebhook, done)
	fold(&s, archived(t, end, bridge.Archived{Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png"}, {N: 1, URL: "file:///b"}}}))
	require.Equal(t, Folded{}, fold(&s, end))
	require.False(t, s.Conflict)
	require.Equal(t, 2, s.Stored)
	require.Equal(t, Folded{Known: true}, fold(&s, end))
	require.True(t, fold(&s, told(t, bridge.OriginWebhook, `"status":"failed","error":"no"`)).Conflict)
}

// Many long addresses are left out together, whichever event told them.
func TestOutputsAreBounded(t *testing.T) {
	long := func(n int) string { return "https://x/" + strings.Repeat("&", n) }
	list, err := json.Marshal(slices.Repeat([]string{long(3000)}, 60))
	require.NoError(t, err)
	var s bridge.PredictionState
	fold(&s, told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list)))
	require.Empty(t, s.Outputs)
	require.Equal(t, 60, s.OutputCount)

	list, err = json.Marshal(slices.Repeat([]string{"https://x/a"}, 60))
	require.NoError(t, err)
	s = bridge.PredictionState{}
	end := told(t, bridge.OriginWebhook, `"status":"completed","outputs":`+string(list))
	fold(&s, end)
	require.Len(t, s.Outputs, 60)
	var a bridge.Archived
	for n := range 60 {
		a.Outputs = append(a.Outputs, bridge.ArchivedOutput{N: n, URL: long(3000)})
	}
	fold(&s, archived(t, end, a))
	require.Empty(t, s.Outputs)
	require.Equal(t, []int{60, 60}, []int{s.OutputCount, s.Stored})
}
