package forward

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// team is a real consumer whose handler is a forwarder.
type team struct {
	*natstest.Streams
	t *testing.T
}

func newTeam(t *testing.T) *team {
	t.Helper()
	return &team{Streams: natstest.Start(t), t: t}
}

func (b *team) publish(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		_, err := b.Publish(context.Background(), newEvent(id))
		require.NoError(b.t, err)
	}
}

// run runs the consumer until it is stopped or the test ends. Failed events come again at once.
func (b *team) run(h consumers.Handler, cfg consumers.Config) (stop func()) {
	b.t.Helper()
	cfg.Name, cfg.Start = "billing", consumers.Start{All: true}
	if cfg.Retry == (consumers.Retry{}) {
		cfg.Retry = consumers.Retry{First: time.Millisecond, Max: time.Millisecond}
	}
	c, err := consumers.New(b.JS, h, cfg)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = c.Run(ctx) })
	stop = func() {
		cancel()
		done.Wait()
	}
	b.t.Cleanup(stop)
	return stop
}

// verdicts returns what the server is told of each event, as it is on the wire.
func (b *team) verdicts() <-chan string {
	b.t.Helper()
	out := make(chan string, 1000)
	sub, err := b.NC.Subscribe("$JS.ACK.HOOKSPAN_EVENTS.billing.>", func(m *nats.Msg) { out <- string(m.Data) })
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return out
}

func (b *team) deadLetter() *bridge.DeadLetter {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := b.JS.OrderedConsumer(ctx, "HOOKSPAN_DEAD", jetstream.OrderedConsumerConfig{FilterSubjects: []string{b.Names.AllDead("billing")}})
	require.NoError(b.t, err)
	m, err := c.Next(jetstream.FetchContext(ctx))
	require.NoError(b.t, err)
	dead, err := bridge.DecodeDeadLetter(bridge.Header(m.Headers()))
	require.NoError(b.t, err)
	return dead
}

// Whatever the target answers first, the event is acknowledged after a 2xx.
func TestEventIsAcknowledged(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 302, 404, 429, 500, 503} {
		b := newTeam(t)
		wire := b.verdicts()
		var keys, attempts []string
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			attempts = append(attempts, r.Header.Get("Hookspan-Attempt"))
			if len(keys) == 1 {
				w.WriteHeader(status)
			}
		})
		b.run(setup(t, srv.URL, nil), consumers.Config{})
		b.publish("pred_1")
		if status >= 300 {
			require.Regexp(t, "^-NAK", next(t, wire), status)
		}
		require.Equal(t, "+ACK", next(t, wire), status)
		if status >= 300 {
			require.Equal(t, []string{"1", "2"}, attempts)
			require.Equal(t, keys[0], keys[1])
		}
	}
}

func TestRefusedEventIsADeadLetter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 410, 413, 422} {
		b := newTeam(t)
		wire := b.verdicts()
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("no such customer"))
		})
		b.run(setup(t, srv.URL, nil), consumers.Config{})
		b.publish("pred_1")
		require.Equal(t, "+TERM", next(t, wire)[:5], status)
		dead := b.deadLetter()
		require.Equal(t, bridge.DeadRefused, dead.Cause)
		require.Len(t, dead.History, 1)
		require.Contains(t, dead.History[0].Note, "no such customer")
		require.Contains(t, dead.History[0].Note, http.StatusText(status))
	}
}

// While a target is away its events wait, without attempts; once it is back all of
// them arrive. What failed before counts.
func TestBreakerHoldsEventsBack(t *testing.T) {
	t.Parallel()
	const failures, events = 3, 40
	b := newTeam(t)
	var works atomic.Bool
	var failed atomic.Int32
	attempts := make(chan string, 1000)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !works.Load() {
			failed.Add(1)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		attempts <- r.Header.Get("Hookspan-Attempt")
	})
	f := setup(t, srv.URL, func(c *Config) {
		c.Breaker = Breaker{Failures: failures, Pause: 20 * time.Millisecond, MaxPause: 40 * time.Millisecond}
	})
	changes := make(chan change, 1000)
	var opened atomic.Int32
	f.breaker.onChange = func(c change) {
		if c.state == open {
			opened.Add(1)
		}
		changes <- c
	}
	b.run(f, consumers.Config{Concurrency: 8, Retry: consumers.Retry{First: 30 * time.Millisecond, Max: 30 * time.Millisecond, GiveUpAfter: time.Hour}})
	for i := range events {
		b.publish("pred_" + strconv.Itoa(i))
	}
	for range 10 {
		require.Equal(t, open, next(t, changes).state)
	}
	// Before it opened, as many as there are workers can be on their way; after that
	// each opening is one probe, and one more may just fail.
	since, reason := f.Blocked()
	require.NotZero(t, since)
	require.Contains(t, reason, "answered 502")
	asked := failed.Load()
	require.LessOrEqual(t, asked, 8+failures-1+opened.Load()+1)
	works.Store(true)
	counted := 0
	for range events {
		n, err := strconv.Atoi(next(t, attempts))
		require.NoError(t, err)
		counted += n - 1
	}
	require.Equal(t, int(failed.Load()), counted, "every failure is an attempt, and nothing else is")
	since, _ = f.Blocked()
	require.Zero(t, since, "the target works")
}

// A dead letter tells of the requests that were made, and of no other attempts.
func TestHistoryHoldsRealAttemptsOnly(t *testing.T) {
	t.Parallel()
	b := newTeam(t)
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= 5 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
	})
	f := setup(t, srv.URL, func(c *Config) {
		c.Breaker = Breaker{Failures: 1, Pause: 50 * time.Millisecond, MaxPause: 50 * time.Millisecond}
	})
	b.run(f, consumers.Config{Concurrency: 4})
	b.publish("pred_1")
	dead := b.deadLetter()
	require.Equal(t, 6, dead.Attempts)
	require.Len(t, dead.History, 6)
	for _, a := range dead.History[:5] {
		require.Contains(t, a.Error, "answered 503")
	}
	require.EqualValues(t, 6, asked.Load())
}

// The target is told that an earlier attempt may have ended in the middle.
func TestRepeatIsTold(t *testing.T) {
	t.Parallel()
	b := newTeam(t)
	b.publish("pred_1")
	entered := make(chan struct{})
	stop := b.run(consumers.HandlerFunc(func(ctx context.Context, _ *bridge.Event) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}), consumers.Config{Once: true, Grace: time.Millisecond})
	next(t, entered)
	stop()
	headers := make(chan http.Header, 1)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	b.run(setup(t, srv.URL, nil), consumers.Config{Once: true})
	header := next(t, headers)
	require.Equal(t, "true", header.Get("Hookspan-Repeat"))
	require.Equal(t, "1", header.Get("Hookspan-Attempt"))
}
