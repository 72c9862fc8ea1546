package redelivery

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts/contractstest"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

const patience = time.Minute

type failing struct {
	next   *stream.Publisher
	calls  atomic.Int32
	before int32 // this many calls fail before they store
	after  int32 // and then this many after
}

func (f *failing) Store(ctx context.Context, st string, m *nats.Msg) (bridge.Receipt, error) {
	n := f.calls.Add(1)
	if n <= f.before {
		return bridge.Receipt{}, bridge.ErrFull
	}
	r, err := f.next.Store(ctx, st, m)
	if n <= f.before+f.after {
		return bridge.Receipt{}, bridge.ErrUnknown
	}
	return r, err
}

// A due message stays until the stream of events has surely taken it, and is there once
// whatever the stream answered.
func TestDueEventWaitsForTheStream(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	store := &failing{next: b.Publisher(), before: 2, after: 2}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- NewMover(b.JS, store, MoverConfig{Names: b.Names}).Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()

	ev := natstest.Event("pred_1")
	header := bridge.Again{Attempt: 3, First: time.Unix(1, 0), Sequence: 7}.Header(ev.Header())
	_, err := b.JS.PublishMsg(ctx, &nats.Msg{Subject: b.Names.Later("team", ev.ID, 3), Header: nats.Header(header), Data: ev.Body},
		jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget(b.Names.Due("team", b.Names.Event(ev.Source, ev.Status, ev.Model))))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_LATER") == 0 }, patience, 5*time.Millisecond)
	require.EqualValues(t, 5, store.calls.Load())
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))

	st, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	m, err := st.GetMsg(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "hookspan.again.team.get3w.prediction.completed.get3w.flux-dev", m.Subject)
	require.Equal(t, ev.Body, m.Data)
	back, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	require.NoError(t, err)
	require.Equal(t, ev.ID, back.ID)
	again, err := bridge.DecodeAgain(bridge.Header(m.Header))
	require.NoError(t, err)
	require.Equal(t, bridge.Again{Attempt: 3, First: time.Unix(1, 0).UTC(), Sequence: 7}, again)
	for key := range m.Header {
		require.NotContains(t, key, "Nats-Schedule", "it would be obeyed a second time")
	}
}

// What waits, and what NATS makes of it when its time has come, is as the document of the wire says.
func TestWhatWaitsIsAsDocumented(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	for name, wait := range map[string]time.Duration{"team": 0, "search": time.Hour} {
		ev := natstest.Event("pred_1")
		ev.Time, ev.ReceivedAt, ev.ContentType, ev.Origin = time.Now(), time.Now(), "application/json", bridge.OriginWebhook
		header := bridge.Again{Attempt: 3, First: time.Unix(1, 0), Sequence: 7}.Header(ev.Header())
		_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: b.Names.Later(name, ev.ID, 3), Header: nats.Header(header), Data: ev.Body},
			jetstream.WithScheduleAt(time.Now().Add(wait)), jetstream.WithScheduleTarget(b.Names.Due(name, b.Names.SubjectOf(ev))))
		require.NoError(t, err)
	}
	later, err := b.JS.Stream(t.Context(), b.Names.LaterStream())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := later.GetLastMsgForSubject(t.Context(), b.Names.AllDue())
		return err == nil
	}, patience, 5*time.Millisecond)
	require.Equal(t, map[string]int{"later": 1, "due": 1}, contractstest.New(t).RequireStored(t, b.JS))
}

// Waiting messages that nats.go takes for words of the server become dead letters of the consumer
// that they wait for, and hold up no event.
func TestMoverBelievesNoPublisher(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	later := func(id string, header nats.Header, body []byte) {
		_, err := b.JS.PublishMsg(ctx, &nats.Msg{Subject: b.Names.Later("team", id, 3), Header: header, Data: body},
			jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget(b.Names.Due("team", b.Names.Event("get3w", "completed", "m"))))
		require.NoError(t, err)
	}
	headers := natstest.StatusHeaders()
	for i, h := range headers {
		later("status_"+strconv.Itoa(i), h, nil)
	}
	ev := natstest.Event("pred_1")
	later(ev.ID, nats.Header(bridge.Again{Attempt: 3, First: time.Unix(1, 0), Sequence: 7}.Header(ev.Header())), ev.Body)
	go func() { done <- NewMover(b.JS, b.Publisher(), MoverConfig{Names: b.Names}).Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_LATER") == 0 }, patience, 5*time.Millisecond)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
	require.EqualValues(t, len(headers), b.Messages(t, "HOOKSPAN_DEAD"))
	mover, err := b.JS.Consumer(ctx, "HOOKSPAN_LATER", "mover")
	require.NoError(t, err)
	require.Zero(t, mover.CachedInfo().NumRedelivered)

	dead, err := streamread.Open(ctx, b.JS, "HOOKSPAN_DEAD")
	require.NoError(t, err)
	seen := 0
	require.NoError(t, streamread.Walk(ctx, dead, streamread.Span{Subject: b.Names.AllDead("team")}, func(*jetstream.RawStreamMsg) error {
		seen++
		return nil
	}))
	require.Equal(t, len(headers), seen, "operators see them")
}
