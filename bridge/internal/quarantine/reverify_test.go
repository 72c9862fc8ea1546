package quarantine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var received = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// bench is a store with entries in quarantine; refused ones differ only in their stream.
type bench struct {
	*streamtest.Bench
	store  *quarantine.KeptStore
	secret string // of the only source, as configured now
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{Bench: streamtest.Start(t, streamtest.Config()), secret: "right"}
	b.store = quarantine.NewKeptStore(b.JS, b.Names)
	return b
}

func (b *bench) sources(name string) *source.Source {
	if name != "get3w" {
		return nil
	}
	src, err := source.New(source.Config{Name: name, Kind: "get3w", Secrets: [][]byte{[]byte(b.secret)}, MaxAge: time.Hour})
	if err != nil {
		panic(err)
	}
	return src
}

func (b *bench) reverifier(p quarantine.Publisher) *quarantine.Reverifier {
	return quarantine.New(b.store, p, b.sources)
}

// keep keeps a delivery that was signed with the secret "right".
func (b *bench) keep(t *testing.T, body string, change func(*bridge.KeptDelivery)) {
	t.Helper()
	w := &bridge.KeptDelivery{
		Source: "get3w", Cause: "wrong_signature", ReceivedAt: received, ContentType: "application/json",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Body: []byte(body), BodyBytes: int64(len(body)),
	}
	w.AddProof(signing.Header, []string{signing.Sign([]byte(body), []byte("right"))})
	w.AddQuery("ref", "order 7")
	if change != nil {
		change(w)
	}
	_, err := quarantine.NewQuarantine(b.Publisher(), b.Names, &natstest.Alarms{}).Keep(context.Background(), w)
	require.NoError(t, err)
}

func body(id string) string { return `{"id":"` + id + `","status":"failed","error":"no"}` }

func (b *bench) event(t *testing.T, seq uint64) *bridge.Event {
	t.Helper()
	st, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	m, err := st.GetMsg(context.Background(), seq)
	require.NoError(t, err)
	e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	require.NoError(t, err)
	return e
}

func TestRepairedSecret(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := start(t)
	for i := range 20 {
		b.keep(t, body(fmt.Sprint(i)), nil)
	}
	r := b.reverifier(b.Publisher())

	b.secret = "mistyped"
	report := r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
	require.Equal(t, adminapi.KeptReport{LookedAt: 20, Last: 20, Remaining: map[string]int{"wrong_signature": 20}}, report)

	b.secret = "right"
	report = r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{DryRun: true})
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: 20, Last: 20, Events: 20, Remaining: map[string]int{}}, report)
	require.EqualValues(t, 20, b.Messages(t, "HOOKSPAN_QUARANTINE"), "a dry run changes nothing")
	require.Zero(t, b.Messages(t, "HOOKSPAN_EVENTS"))

	report = r.Reverify(ctx, adminapi.KeptSelection{Limit: 5}, adminapi.ReverifyOptions{})
	require.Equal(t, adminapi.KeptReport{LookedAt: 5, Last: 5, Events: 5, Removed: 5, More: true, Remaining: map[string]int{}}, report)
	report = r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
	require.Equal(t, adminapi.KeptReport{LookedAt: 15, Last: 20, Events: 15, Removed: 15, Remaining: map[string]int{}}, report)
	require.Zero(t, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	require.EqualValues(t, 20, b.Messages(t, "HOOKSPAN_EVENTS"))

	e := b.event(t, 20)
	want, err := b.sources("get3w").Accept(source.Delivery{
		Proof: bridge.Header{"X-Get3w-Signature": {e.Signature}}, Body: []byte(body("19")), ReceivedAt: received,
	})
	require.NoError(t, err)
	require.Equal(t, want.ID, e.ID)
	require.Equal(t, body("19"), string(e.Body))
	require.Equal(t, received, e.ReceivedAt)
	require.Equal(t, bridge.OriginWebhook, e.Origin)
	require.Equal(t, "application/json", e.ContentType)
	require.Equal(t, map[string]string{"ref": "order 7"}, e.Query)

	report = r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
	require.Equal(t, adminapi.KeptReport{Remaining: map[string]int{}}, report)
}

func TestWhatStays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := start(t)
	b.keep(t, body("token"), func(w *bridge.KeptDelivery) { w.Cause = bridge.CausePathToken })
	b.keep(t, body("cut"), func(w *bridge.KeptDelivery) { w.Truncated = true })
	b.keep(t, body("gone"), func(w *bridge.KeptDelivery) { w.Source = "gone" })
	b.keep(t, `{"status":"failed"}`, nil)
	b.keep(t, body("forged"), func(w *bridge.KeptDelivery) { w.Body = []byte(body("other")) })
	stale := `{"id":"old","status":"failed","completed_at":"2026-01-01T00:00:00Z"}`
	b.keep(t, stale, func(w *bridge.KeptDelivery) { w.Cause = "stale" })
	r := b.reverifier(b.Publisher())
	remaining := map[string]int{"path_token": 1, "truncated": 1, "unknown_source": 1, "no_id": 1, "wrong_signature": 1, "stale": 1}
	for _, dry := range []bool{true, false} {
		report := r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{DryRun: dry})
		require.Equal(t, adminapi.KeptReport{DryRun: dry, LookedAt: 6, Last: 6, Remaining: remaining}, report)
	}
	require.EqualValues(t, 6, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	require.Zero(t, b.Messages(t, "HOOKSPAN_EVENTS"))

	report := r.Reverify(ctx, adminapi.KeptSelection{Cause: "stale"}, adminapi.ReverifyOptions{AcceptStale: true})
	require.Equal(t, 1, report.Events)
	require.Equal(t, stale, string(b.event(t, 1).Body))
	require.Equal(t, received, b.event(t, 1).ReceivedAt)

	report = r.Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{DryRun: true, AcceptPathToken: true})
	require.Equal(t, 1, report.Events)
	require.NotContains(t, report.Remaining, "path_token")

	report = r.Drop(ctx, adminapi.KeptSelection{Source: "gone"}, true)
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: 1, Last: 3, Removed: 1, Remaining: map[string]int{}}, report)
	require.EqualValues(t, 5, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	report = r.Drop(ctx, adminapi.KeptSelection{}, false)
	require.Equal(t, 5, report.Removed)
	require.Zero(t, b.Messages(t, "HOOKSPAN_QUARANTINE"))
}

// The entry is the only copy until the event is acknowledged.
func TestEntryStaysUntilTheEventIsAcknowledged(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, failure := range []error{bridge.ErrFull, bridge.ErrUnavailable, bridge.ErrUnknown} {
		b := start(t)
		b.keep(t, body("a"), nil)
		b.keep(t, body("b"), nil)
		failing := &streamtest.FailingPublisher{Next: b.Publisher(), Answer: func(bridge.Receipt, error) (bridge.Receipt, error) {
			require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_QUARANTINE"), "removed before the event was acknowledged")
			return bridge.Receipt{}, failure
		}}
		report := b.reverifier(failing).Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
		require.Equal(t, 1, report.LookedAt)
		require.Zero(t, report.Events+report.Removed)
		require.Contains(t, report.Stopped, failure.Error())
		require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_QUARANTINE"))

		// The first one was stored before its answer was lost.
		report = b.reverifier(b.Publisher()).Reverify(ctx, adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
		require.Equal(t, adminapi.KeptReport{LookedAt: 2, Last: 2, Events: 1, Duplicates: 1, Removed: 2, Remaining: map[string]int{}}, report)
		require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_EVENTS"))
	}
}

// An entry that the store can never take does not block the others.
func TestTooLargeStays(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.keep(t, body("a"), nil)
	failing := &streamtest.FailingPublisher{Next: b.Publisher(), Answer: func(bridge.Receipt, error) (bridge.Receipt, error) {
		return bridge.Receipt{}, bridge.ErrTooLarge
	}}
	report := b.reverifier(failing).Reverify(context.Background(), adminapi.KeptSelection{}, adminapi.ReverifyOptions{})
	require.Equal(t, adminapi.KeptReport{LookedAt: 1, Last: 1, Remaining: map[string]int{"too_large": 1}}, report)
}
