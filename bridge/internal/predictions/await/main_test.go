package await_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for an event that must come.
const patience = 20 * time.Second

type bench struct {
	t      testing.TB
	js     jetstream.JetStream
	pub    *stream.Publisher
	hub    *await.Hub
	states *states
	n      bridge.Names
}

// states is a view that knows what it was told.
type states struct {
	known  sync.Map
	behind atomic.Bool
}

func (s *states) Prediction(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	have, ok := s.known.Load(source + "/" + id)
	if !ok {
		return nil, fmt.Errorf("prediction %q: %w", id, bridge.ErrNotFound)
	}
	state := have.(bridge.PredictionState)
	return &state, ctx.Err()
}

func (s *states) UpToDate() bool { return !s.behind.Load() }

func setup(t testing.TB) *bench {
	t.Helper()
	s := streamtest.Start(t, streamtest.Config())
	// As in serve, the reader and the publisher have different connections.
	nc, err := s.Server.Connect("reader", zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return benchOn(t, js, s.Publisher())
}

func benchOn(t testing.TB, js jetstream.JetStream, pub *stream.Publisher) *bench {
	b := &bench{t: t, js: js, pub: pub, states: &states{}}
	b.hub = await.New(js, b.states, b.n, zap.NewNop())
	t.Cleanup(b.hub.Close)
	return b
}

func (b *bench) tell(id, status string) *bridge.Event {
	b.t.Helper()
	body := []byte(`{"id":"` + id + `","status":"` + status + `","outputs":["https://cdn.get3w.com/` + id + `.png"]}`)
	return b.publish(&bridge.Event{
		ID: bridge.NewEventID(id, status, body), Source: "get3w", Type: "com.get3w.prediction." + status + ".v1", PredictionID: id,
		Status: status, RawStatus: status, Origin: bridge.OriginWebhook, ReceivedAt: time.Now(), Body: body,
	})
}

func (b *bench) publish(e *bridge.Event) *bridge.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := b.pub.Publish(ctx, e)
	require.NoError(b.t, err)
	e.Sequence = r.Sequence
	return e
}

// fold adds events to the view, which does so later, and tells the hub.
func (b *bench) fold(events ...*bridge.Event) {
	b.t.Helper()
	var s bridge.PredictionState
	if have, err := b.states.Prediction(context.Background(), events[0].Source, events[0].PredictionID); err == nil {
		s = *have
	}
	s.Events = append([]bridge.EventRef(nil), s.Events...)
	for _, e := range events {
		fold.Fold(&s, e, fold.At{Sequence: e.Sequence, StoredAt: time.Now()})
	}
	b.put(s)
}

func (b *bench) put(s bridge.PredictionState) {
	b.states.known.Store(s.Source+"/"+s.ID, s)
	b.hub.Reread(s.Source, s.ID)
}

// answer is what a call of Wait returned.
type answer struct {
	state *bridge.PredictionState
	err   error
}

// wait begins to wait, and returns once later messages reach the waiter.
func (b *bench) wait(ctx context.Context, id string) <-chan answer {
	b.t.Helper()
	before := b.hub.Waiting()
	done := make(chan answer, 1)
	go func() {
		s, err := b.hub.Wait(ctx, "get3w", id)
		done <- answer{s, err}
	}()
	b.eventually(func() bool { return len(done) > 0 || b.hub.Waiting() > before && b.consumers() == 1 })
	return done
}

func (b *bench) get(done <-chan answer) answer {
	b.t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(patience):
		b.t.Fatal("nobody woke")
		panic("unreachable")
	}
}

func (b *bench) eventually(what func() bool) {
	b.t.Helper()
	require.Eventually(b.t, what, patience, time.Millisecond)
}

// consumers is how many consumers the stream of events has.
func (b *bench) consumers() int {
	b.t.Helper()
	s, err := b.js.Stream(context.Background(), b.n.EventsStream())
	if err != nil {
		return -1
	}
	return s.CachedInfo().State.Consumers
}
