package confirmer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const waitsFor = 30 * time.Second

// says is a provider that answers about every prediction.
type says func(ctx context.Context, id string) (string, error)

func (s says) Result(ctx context.Context, id, _ string) ([]byte, error) {
	body, err := s(ctx, id)
	return []byte(body), err
}

func ended(_ context.Context, id string) (string, error) {
	return fmt.Sprintf(`{"id":%q,"status":"COMPLETED","output":{"x":1}}`, id), nil
}

// rig is a confirmer of sources of kind runpod, and what it has done.
type rig struct {
	*natstest.Streams
	*Confirmer

	t      *testing.T
	alarms natstest.Alarms
	mu     sync.Mutex
	events []string
	kept   []string // causes of what went into the quarantine
	gone   []string // details of what was refused
}

func setup(t *testing.T, providers map[string]says, change func(*Config)) *rig {
	t.Helper()
	r := &rig{Streams: natstest.Start(t), t: t}
	cfg := Config{
		Names: r.Names, Sources: map[string]Source{}, Alarms: &r.alarms, Logger: zap.NewNop(),
		Publish: func(_ context.Context, e *bridge.Event) (bridge.Receipt, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e.Source+"/"+e.PredictionID)
			return bridge.Receipt{Result: bridge.Stored}, nil
		},
		Quarantine: func(_ context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.kept = append(r.kept, w.Cause)
			return bridge.Receipt{}, nil
		},
		Refuse: func(w *bridge.KeptDelivery) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.gone = append(r.gone, w.Detail)
		},
	}
	for name, p := range providers {
		src, err := source.New(source.Config{Name: name, Kind: "runpod", HasKey: true})
		require.NoError(t, err)
		cfg.Sources[name] = Source{Source: src, Provider: p, Rate: 1000}
	}
	if change != nil {
		change(&cfg)
	}
	r.Confirmer = New(r.JS, cfg)
	r.again = time.Millisecond
	return r
}

// start runs the confirmer until the test ends.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); require.NoError(r.t, <-done) })
}

// keep stores a webhook as the ingress does.
func (r *rig) keep(name, id string) {
	r.t.Helper()
	w := &bridge.KeptDelivery{Source: name, Cause: bridge.CauseUnconfirmed, ReceivedAt: time.Now(), Body: fmt.Appendf(nil, `{"id":%q,"status":"COMPLETED"}`, id)}
	m := &nats.Msg{Subject: r.Names.Unconfirmed(name, id), Header: nats.Header(w.Message()), Data: w.Body}
	m.Header.Set(bridge.HeaderMsgID, w.MsgID())
	_, err := r.JS.PublishMsg(r.t.Context(), m)
	require.NoError(r.t, err)
}

func (r *rig) has(list *[]string, want string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Contains(*list, want)
	}
}

func (r *rig) waiting() uint64 {
	r.t.Helper()
	s, err := r.JS.Stream(r.t.Context(), r.Names.UnconfirmedStream())
	require.NoError(r.t, err)
	return s.CachedInfo().State.Msgs
}

// A source whose provider hangs holds up no other, and what is confirmed leaves the queue.
func TestASlowProviderHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := setup(t, map[string]says{
		"slow": func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() },
		"good": ended,
	}, nil)
	for n := range 3 * parallel {
		r.keep("slow", fmt.Sprint("s", n))
	}
	r.keep("good", "g1")
	r.start()
	require.Eventually(t, r.has(&r.events, "good/g1"), waitsFor, time.Millisecond)
	require.Eventually(t, func() bool { return r.waiting() == 3*parallel }, waitsFor, time.Millisecond)
}

// Whatever the provider answers that is no end, the delivery stays and somebody is told.
func TestUnusableAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]says{
		"another id": func(context.Context, string) (string, error) { return `{"id":"other","status":"COMPLETED"}`, nil },
		"HTML":       func(context.Context, string) (string, error) { return "<html>", nil },
		"not ended": func(_ context.Context, id string) (string, error) {
			return fmt.Sprintf(`{"id":%q,"status":"IN_QUEUE"}`, id), nil
		},
		"away": func(context.Context, string) (string, error) { return "", errors.New("no route") },
		"not now": func(context.Context, string) (string, error) {
			return "", &provider.TryLaterError{Err: errors.New("429")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t, map[string]says{"a": answer}, nil)
			r.keep("a", "1")
			r.start()
			require.Eventually(t, func() bool { return len(r.alarms.All()) > 0 }, waitsFor, time.Millisecond)
			require.Equal(t, bridge.AlarmPolling, r.alarms.All()[0].Kind)
			require.Contains(t, r.alarms.All()[0].Text, "sources.a.api")
			require.EqualValues(t, 1, r.waiting())
			require.Empty(t, r.events)
		})
	}
}

func TestAPredictionThatTheProviderDoesNotKnow(t *testing.T) {
	t.Parallel()
	r := setup(t, map[string]says{"a": func(context.Context, string) (string, error) { return "", provider.ErrNoPrediction }}, nil)
	r.keep("a", "invented")
	r.start()
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.gone) == 1 }, waitsFor, time.Millisecond)
	require.Eventually(t, func() bool { return r.waiting() == 0 }, waitsFor, time.Millisecond)
	require.Empty(t, r.events)
}

// Where somebody else provisions no durable is made, and work begins when there is one; a durable
// that is removed while it runs is made again.
func TestDurables(t *testing.T) {
	t.Parallel()
	r := setup(t, map[string]says{"a": ended}, func(c *Config) { c.BindOnly = true })
	r.keep("a", "1")
	r.start()
	_, err := r.JS.Consumer(t.Context(), r.Names.UnconfirmedStream(), "confirmer-a")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	require.NoError(t, Provision(t.Context(), r.JS, r.Names, []string{"a"}))
	require.Eventually(t, r.has(&r.events, "a/1"), waitsFor, time.Millisecond)

	r = setup(t, map[string]says{"a": ended}, nil)
	r.start()
	r.keep("a", "1")
	require.Eventually(t, r.has(&r.events, "a/1"), waitsFor, time.Millisecond)
	require.NoError(t, r.JS.DeleteConsumer(t.Context(), r.Names.UnconfirmedStream(), "confirmer-a"))
	r.keep("a", "2")
	require.Eventually(t, r.has(&r.events, "a/2"), waitsFor, time.Millisecond)
}

// Deliveries of a source that was removed wait, and somebody is told.
func TestDeliveriesOfARemovedSource(t *testing.T) {
	t.Parallel()
	r := setup(t, map[string]says{"a": ended}, nil)
	require.NoError(t, Provision(t.Context(), r.JS, r.Names, []string{"removed", "empty"}))
	r.keep("removed", "1")
	r.start()
	require.Eventually(t, func() bool { return len(r.alarms.All()) > 0 }, waitsFor, time.Millisecond)
	require.Equal(t, bridge.AlarmLeftBehind, r.alarms.All()[0].Kind)
	require.Contains(t, r.alarms.All()[0].Text, "webhooks of source removed wait until the provider has confirmed them, 1 now")
	require.EqualValues(t, 1, r.waiting())
}
