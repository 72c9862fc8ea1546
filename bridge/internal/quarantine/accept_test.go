package quarantine_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/signing"
)

var lone = `{"id":"p","status":"failed","error":"\ud800"}`

// hold is keep for an entry of that place and cause.
func (b *bench) hold(t *testing.T, body, cause string, change func(*bridge.KeptDelivery)) {
	b.keep(t, body, func(w *bridge.KeptDelivery) {
		if w.Cause = cause; change != nil {
			change(w)
		}
	})
}

// refuse stores an authentic delivery in the ring of refused ones, as a bridge with a wrong
// secret does.
func (b *bench) refuse(t *testing.T, body string) {
	t.Helper()
	w := &bridge.KeptDelivery{Source: "get3w", Cause: "wrong_signature", ReceivedAt: received, Body: []byte(body), BodyBytes: int64(len(body))}
	w.AddProof(signing.Header, []string{signing.Sign([]byte(body), []byte("right"))})
	_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: b.Names.Refused("get3w", w.Cause), Header: nats.Header(w.Message()), Data: w.Body})
	require.NoError(t, err)
}

func TestAccept(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.hold(t, lone, "syntax", nil)
	b.hold(t, `{"id":"a","id":"b","status":"failed"}`, "duplicate_key", nil)
	b.hold(t, lone+" ", "syntax", nil)
	r := b.reverifier(b.Publisher())
	sel := adminapi.KeptSelection{Place: adminapi.PlaceQuarantine, Sequences: []uint64{1, 2}}
	require.Equal(t, adminapi.KeptReport{LookedAt: 2, Last: 2, Remaining: map[string]int{"syntax": 1, "duplicate_key": 1}},
		r.Reverify(t.Context(), sel, adminapi.ReverifyOptions{AcceptStale: true}), "nothing else makes events of them")

	stay := map[string]int{"duplicate_key": 1}
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: 2, Last: 2, Events: 1, Remaining: stay},
		r.Accept(t.Context(), sel, adminapi.AcceptOptions{DryRun: true, Accepted: func(adminapi.KeptEntry, *bridge.Event) { t.Error("in a dry run") }}))
	require.Zero(t, b.Messages(t, "HOOKSPAN_EVENTS"))

	// The answer is lost: the entry stays, and accepting it again makes the same event.
	failing := &streamtest.FailingPublisher{Next: b.Publisher(), Answer: func(bridge.Receipt, error) (bridge.Receipt, error) {
		return bridge.Receipt{}, bridge.ErrUnknown
	}}
	report := b.reverifier(failing).Accept(t.Context(), sel, adminapi.AcceptOptions{})
	require.Contains(t, report.Stopped, bridge.ErrUnknown.Error())
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	var told []uint64
	report = r.Accept(t.Context(), sel, adminapi.AcceptOptions{Accepted: func(w adminapi.KeptEntry, e *bridge.Event) {
		require.Equal(t, "p", e.PredictionID)
		told = append(told, w.Sequence)
	}})
	require.Equal(t, adminapi.KeptReport{LookedAt: 2, Last: 2, Duplicates: 1, Removed: 1, Remaining: stay}, report)
	require.Equal(t, []uint64{1}, told)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
	require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_QUARANTINE"), "the one that was not named, and the one that stays")
	e := b.event(t, 1)
	require.Equal(t, lone, string(e.Body), "byte for byte")
	require.Equal(t, received, e.ReceivedAt)

	report = r.Accept(t.Context(), sel, adminapi.AcceptOptions{})
	require.Equal(t, adminapi.KeptReport{LookedAt: 1, Last: 2, Remaining: stay}, report)
}

func TestAcceptNeverTakesWhatIsNotAuthentic(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.hold(t, lone, "syntax", func(w *bridge.KeptDelivery) { w.Body = append(w.Body, ' ') })
	b.hold(t, lone, "syntax", func(w *bridge.KeptDelivery) { w.Proof = nil })
	b.hold(t, lone, "syntax", func(w *bridge.KeptDelivery) { w.Source = "gone" })
	b.hold(t, lone, bridge.CausePathToken, func(w *bridge.KeptDelivery) { w.Query = nil })
	b.hold(t, lone, "too_large", func(w *bridge.KeptDelivery) { w.Truncated, w.Query = true, map[string]string{"ref": "x"} })
	b.refuse(t, lone)
	r := b.reverifier(b.Publisher())
	report := r.Accept(t.Context(), adminapi.KeptSelection{}, adminapi.AcceptOptions{})
	require.Equal(t, map[string]int{"syntax": 2, "unknown_source": 1, "not_authentic": 2, "truncated": 1}, report.Remaining)
	require.Zero(t, b.Messages(t, "HOOKSPAN_EVENTS"))
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_REFUSED"))
	require.EqualValues(t, 5, b.Messages(t, "HOOKSPAN_QUARANTINE"))
}
