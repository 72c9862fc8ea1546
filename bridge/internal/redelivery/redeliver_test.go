package redelivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

const patience = time.Minute

type rig struct {
	*streamtest.Bench
	t  *testing.T
	re *redelivery.Redeliverer

	mu      sync.Mutex
	handled map[string]int // by prediction
	broken  atomic.Bool    // the handler of team fails every attempt
	hiccup  atomic.Bool    // the next attempt fails
}

func setup(t *testing.T) *rig {
	t.Helper()
	r := &rig{Bench: streamtest.Start(t, streamtest.Config()), t: t, handled: map[string]int{}}
	r.re = r.redeliverer(r.Publisher())
	return r
}

func (r *rig) redeliverer(store redelivery.BlockStorer) *redelivery.Redeliverer {
	return redelivery.NewRedeliverer(r.JS, store, redelivery.Config{
		Names:   r.Names,
		Handled: attemptrecord.NewLookup(r.JS, r.Names).Handled,
		Filter: func(consumer string) (bridge.Filter, bool) {
			if consumer == "outputs" {
				return bridge.Filter{Event: bridge.KindArchived}, true
			}
			return bridge.Filter{Model: "*dev"}, consumer == "team"
		},
		Group: func(consumer string, cause bridge.DeadCause, err string) string {
			return consumer + " " + string(cause) + " " + err
		},
		Outputs: func(_ context.Context, of []redelivery.Prediction, to *adminapi.OutputsPlan) error {
			to.Predictions += len(of)
			for _, p := range of {
				if p.ID == "pred_no_view" {
					return adminapi.ErrUnavailable
				}
			}
			return nil
		},
	})
}

func (r *rig) publish(ids ...string) {
	r.t.Helper()
	p := r.Publisher()
	for _, id := range ids {
		_, err := p.Publish(context.Background(), natstest.Event(id))
		require.NoError(r.t, err)
	}
}

func (r *rig) run(cfg consumers.Config) {
	r.t.Helper()
	cfg.Name, cfg.Start = "team", consumers.Start{All: true}
	c, err := consumers.New(r.JS, consumers.HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		if r.broken.Load() {
			return consumers.Permanent(errors.New("broken"))
		}
		if r.hiccup.Swap(false) {
			return consumers.RetryAfter(errors.New("hiccup"), 0)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.handled[ev.PredictionID]++
		return nil
	}), cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); require.NoError(r.t, <-done) })
}

func (r *rig) times(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handled[id]
}

func (r *rig) eventually(what func() bool) {
	r.t.Helper()
	require.Eventually(r.t, what, patience, 5*time.Millisecond)
}

func (r *rig) deadLetters() uint64 { return r.Messages(r.t, "HOOKSPAN_DEAD") }

func (r *rig) settledAll() bool {
	c, err := r.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
	if err != nil {
		return false
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0
}

// A repaired consumer handles redriven events once, and their dead letters are gone. An event
// that it refuses again has a new dead letter that says so.
func TestRedrive(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("once=%v", once), func(t *testing.T) {
			r := setup(t)
			ctx := context.Background()
			r.broken.Store(true)
			r.publish("a", "b", "c")
			r.run(consumers.Config{Once: once})
			r.eventually(func() bool { return r.deadLetters() == 3 })

			report := r.re.Redrive(ctx, adminapi.DeadSelection{Consumer: "team"}, adminapi.RedeliveryOptions{DryRun: true})
			require.Equal(t, adminapi.RedeliveryReport{DryRun: true, LookedAt: 3, Given: 3, Remaining: map[string]int{}, Last: 3}, report)
			require.EqualValues(t, 3, r.deadLetters(), "a dry run changes nothing")
			require.EqualValues(t, 3, r.Messages(t, "HOOKSPAN_EVENTS"))

			report = r.re.Redrive(ctx, adminapi.DeadSelection{Consumer: "team", Prediction: "b"}, adminapi.RedeliveryOptions{})
			require.Equal(t, 1, report.Given)
			r.eventually(func() bool {
				deadLetter, err := redelivery.NewDeadLetters(r.JS, r.Names).Get(ctx, 4)
				return err == nil && deadLetter.Redrives == 1 && deadLetter.Attempts == 1 && deadLetter.Event.PredictionID == "b" && deadLetter.Consumer == "team"
			})

			r.broken.Store(false)
			report = r.re.Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{Rate: 1000})
			require.Equal(t, adminapi.RedeliveryReport{LookedAt: 3, Given: 3, Remaining: map[string]int{}, Last: 4}, report)
			require.Zero(t, r.deadLetters())
			r.eventually(func() bool { return r.times("a") == 1 && r.times("b") == 1 && r.times("c") == 1 && r.settledAll() })
			require.Zero(t, r.deadLetters())
		})
	}
}

// An event that was handled since its dead letter was written is not handled again, whichever
// attempt handled it.
func TestRedriveSkipsWhatWasHandled(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		for _, hiccup := range []bool{false, true} {
			t.Run(fmt.Sprintf("once=%v hiccup=%v", once, hiccup), func(t *testing.T) { redriveSkips(t, once, hiccup) })
		}
	}
}

func redriveSkips(t *testing.T, once, hiccup bool) {
	t.Helper()
	r := setup(t)
	ctx := context.Background()
	r.broken.Store(true)
	r.publish("a")
	r.run(consumers.Config{Once: once})
	r.eventually(func() bool { return r.deadLetters() == 1 && r.settledAll() })
	r.broken.Store(false)
	r.hiccup.Store(hiccup)
	report := r.re.Replay(ctx, "team", "run", adminapi.EventSelection{}, adminapi.RedeliveryOptions{})
	require.Equal(t, 1, report.Given)
	r.eventually(func() bool { return r.times("a") == 1 && r.settledAll() })

	ev := natstest.Event("a")
	r.eventually(func() bool {
		known, err := attemptrecord.NewLookup(r.JS, r.Names).Handled(ctx, "team", ev)
		return err == nil && known
	})
	report = r.re.Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{})
	require.Equal(t, adminapi.RedeliveryReport{LookedAt: 1, Skipped: 1, Remaining: map[string]int{}, Last: 1}, report)
	require.Zero(t, r.deadLetters())
	require.EqualValues(t, 2, r.Messages(t, "HOOKSPAN_EVENTS"), "nothing was given again")
}

// A dead letter whose event has no reader stays, and one with the header of another consumer
// gives that one nothing.
func TestRedriveKeepsWhatItCannotGive(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.run(consumers.Config{})
	r.eventually(r.settledAll)
	ev := natstest.Event("forged")
	subject := r.Names.Event(ev.Source, ev.Status, ev.Model)
	forged := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Subject: subject}
	expired := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadExpired}
	for _, m := range []*nats.Msg{
		{Subject: "hookspan.dead.other.x", Header: nats.Header(forged.Header(ev.Header())), Data: ev.Body},
		{Subject: r.Names.Expired("team"), Header: nats.Header(expired.Header(nil)), Data: []byte("{}")},
		{Subject: "hookspan.dead.team.x", Data: []byte("no letter")},
	} {
		_, err := r.JS.PublishMsg(ctx, m)
		require.NoError(t, err)
	}
	report := r.re.Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{})
	require.Equal(t, adminapi.RedeliveryReport{LookedAt: 3, Remaining: map[string]int{"no_consumer": 1, "no_event": 2}, Last: 3}, report)
	require.EqualValues(t, 3, r.deadLetters())
	require.Zero(t, r.Messages(t, "HOOKSPAN_EVENTS"))

	require.Equal(t, 3, r.re.Drop(ctx, adminapi.DeadSelection{}, true).Dropped)
	require.EqualValues(t, 3, r.deadLetters())
	require.Equal(t, 2, r.re.Drop(ctx, adminapi.DeadSelection{Consumer: "team"}, false).Dropped)
	require.EqualValues(t, 1, r.deadLetters())
}

// half fails each store after it has stored.
type half struct{ redelivery.BlockStorer }

func (h half) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	outcomes := h.BlockStorer.StoreAll(ctx, stream, msgs)
	for i := range outcomes {
		outcomes[i].Err = bridge.ErrUnknown
	}
	return outcomes
}

// A redrive that was interrupted is repeated, and gives each event once.
func TestRedriveThatIsRunAgain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.broken.Store(true)
	r.publish("a", "b", "c")
	r.run(consumers.Config{})
	r.eventually(func() bool { return r.deadLetters() == 3 && r.settledAll() })
	r.broken.Store(false)

	report := r.redeliverer(half{r.Publisher()}).Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{})
	require.Contains(t, report.Stopped, bridge.ErrUnknown.Error())
	require.Zero(t, report.Given)
	require.EqualValues(t, 3, r.deadLetters(), "what is not known to be stored stays")

	report = r.re.Redrive(ctx, adminapi.DeadSelection{Limit: 2}, adminapi.RedeliveryOptions{Handled: true})
	require.Equal(t, adminapi.RedeliveryReport{LookedAt: 2, Given: 2, Remaining: map[string]int{}, More: true, Last: 2}, report)
	report = r.re.Redrive(ctx, adminapi.DeadSelection{Limit: 2, After: report.Last}, adminapi.RedeliveryOptions{Handled: true})
	require.Equal(t, adminapi.RedeliveryReport{LookedAt: 1, Given: 1, Remaining: map[string]int{}, Last: 3}, report)
	r.eventually(func() bool { return r.times("a") == 1 && r.times("b") == 1 && r.times("c") == 1 && r.settledAll() })
	require.EqualValues(t, 6, r.Messages(t, "HOOKSPAN_EVENTS"))
}

// A rate applies across calls.
func TestRateHoldsAcrossCalls(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(consumers.Config{})
	r.eventually(r.settledAll)
	r.publish("a")
	begin := time.Now()
	for range 3 {
		require.Equal(t, 1, r.re.Replay(context.Background(), "team", "run", adminapi.EventSelection{}, adminapi.RedeliveryOptions{Rate: 20}).Given)
	}
	require.GreaterOrEqual(t, time.Since(begin), 150*time.Millisecond)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	other := natstest.Event("other")
	other.Model = "get3w/other"
	r.publish("a", "b")
	_, err := r.Publisher().Publish(ctx, other)
	require.NoError(t, err)
	r.run(consumers.Config{Filter: bridge.Filter{Model: "*dev"}})
	r.eventually(func() bool { return r.times("a") == 1 && r.times("b") == 1 && r.settledAll() })

	for range 2 { // the same run
		report := r.re.Replay(ctx, "team", "one", adminapi.EventSelection{}, adminapi.RedeliveryOptions{})
		require.Equal(t, adminapi.RedeliveryReport{LookedAt: 2, Given: 2, Remaining: map[string]int{}, Last: report.Last}, report)
	}
	r.eventually(func() bool { return r.times("a") == 2 && r.times("b") == 2 && r.settledAll() })

	entry, err := redelivery.NewEvents(r.JS, r.Names).Get(ctx, 2)
	require.NoError(t, err)
	since := adminapi.EventSelection{Since: entry.StoredAt}
	require.Equal(t, 1, r.re.Replay(ctx, "team", "two", since, adminapi.RedeliveryOptions{DryRun: true}).Given)
	require.Equal(t, 1, r.re.Replay(ctx, "team", "two", adminapi.EventSelection{Until: entry.StoredAt}, adminapi.RedeliveryOptions{DryRun: true}).Given)
	require.Equal(t, 1, r.re.Replay(ctx, "team", "two", since, adminapi.RedeliveryOptions{}).Given)
	r.eventually(func() bool { return r.times("b") == 3 && r.settledAll() })
	require.Equal(t, 2, r.times("a"))

	// A named event is given whatever the filter says.
	require.Equal(t, 1, r.re.Replay(ctx, "team", "three", adminapi.EventSelection{Sequences: []uint64{3, 99}}, adminapi.RedeliveryOptions{}).Given)
	r.eventually(func() bool { return r.times("other") == 1 })

	require.Contains(t, r.re.Replay(ctx, "nobody", "four", adminapi.EventSelection{}, adminapi.RedeliveryOptions{}).Stopped, adminapi.ErrNoConsumer.Error())
}

// Replay gives events of other kinds to consumers that read them, and an event of any kind can
// be named.
func TestReplayOfArchivedOutputs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	archived := natstest.Event("a")
	archived.Type, archived.ID = bridge.TypeArchived, "a/archived/1"
	r.publish("a")
	_, err := r.Publisher().Publish(ctx, archived)
	require.NoError(t, err)
	for name, filter := range map[string]bridge.Filter{"outputs": {Event: bridge.KindArchived}, "team": {}} {
		subjects, _ := filter.Subjects(r.Names)
		_, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: append(subjects, r.Names.AllAgain(name)),
		})
		require.NoError(t, err)
	}
	given := func(consumer string, sel adminapi.EventSelection) (seqs []uint64) {
		before := r.Messages(t, "HOOKSPAN_EVENTS")
		report := r.re.Replay(ctx, consumer, consumer, sel, adminapi.RedeliveryOptions{})
		require.Empty(t, report.Stopped)
		for seq := before + 1; seq <= r.Messages(t, "HOOKSPAN_EVENTS"); seq++ {
			e, err := redelivery.NewEvents(r.JS, r.Names).Get(ctx, seq)
			require.NoError(t, err)
			again, err := bridge.DecodeAgain(e.Header)
			require.NoError(t, err)
			seqs = append(seqs, again.Sequence)
		}
		return seqs
	}
	require.Equal(t, []uint64{2}, given("outputs", adminapi.EventSelection{}))
	require.Equal(t, []uint64{1}, given("team", adminapi.EventSelection{}))
	require.Equal(t, []uint64{2}, given("team", adminapi.EventSelection{Sequences: []uint64{2}}))
}

// The dead letters of predictions that were given up have no durable: views read what is
// redriven.
func TestRedriveOfPredictionsNeedsNoDurable(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	w := bridge.Watch{Source: "get3w", Prediction: "a"}
	e, err := w.Event(time.Now())
	require.NoError(t, err)
	dead := bridge.DeadLetter{Consumer: bridge.PredictionsConsumer, Cause: bridge.DeadNotFound, Subject: r.Names.SubjectOf(e), Sequence: 7}
	header := dead.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{"dead"}
	_, err = r.JS.PublishMsg(ctx, &nats.Msg{Subject: r.Names.Dead(bridge.PredictionsConsumer, r.Names.SubjectOf(e)), Header: nats.Header(header), Data: e.Body})
	require.NoError(t, err)
	report := r.re.Redrive(ctx, adminapi.DeadSelection{Consumer: bridge.PredictionsConsumer}, adminapi.RedeliveryOptions{})
	require.Equal(t, 1, report.Given, report)
	stream, err := r.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	m, err := stream.GetLastMsgForSubject(ctx, "hookspan.again.predictions.>")
	require.NoError(t, err)
	again, err := bridge.DecodeAgain(bridge.Header(m.Header))
	require.NoError(t, err)
	require.Equal(t, 1, again.Redrives)
	require.Zero(t, r.deadLetters())
}
