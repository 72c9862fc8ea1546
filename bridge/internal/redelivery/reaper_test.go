package redelivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func (r *rig) reap() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	reaper := redelivery.NewReaper(r.JS, r.Publisher(), redelivery.MoverConfig{Names: r.Names})
	go func() { done <- reaper.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); require.NoError(r.t, <-done) })
}

func (r *rig) reaped() {
	r.t.Helper()
	r.eventually(func() bool {
		c, err := r.JS.Consumer(context.Background(), r.Names.AdvisoriesStream(), "reaper")
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0 && info.Delivered.Stream > 0
	})
}

// A program in any language gives an event up by a terminal acknowledgement, or by never
// acknowledging it. Both become dead letters, also when the reaper was away, and can be
// redriven.
func TestGivenUpByAnyProgram(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	durable, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "search-team", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2, AckWait: time.Minute,
		FilterSubjects: []string{"hookspan.events.*.prediction.completed.>", r.Names.AllAgain("search-team")},
	})
	require.NoError(t, err)
	r.publish("bad", "tired")
	fetch := func() jetstream.Msg {
		m, err := durable.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		return m
	}
	require.NoError(t, fetch().TermWithReason("no such customer"))
	require.NoError(t, fetch().Nak())
	require.NoError(t, fetch().Nak())
	// The server notices at the next fetch.
	r.eventually(func() bool {
		none, err := durable.FetchNoWait(1)
		require.NoError(t, err)
		require.Empty(t, none.Messages())
		return r.Messages(t, "HOOKSPAN_ADVISORIES") == 2
	})

	told, err := r.NC.SubscribeSync(r.Names.AttemptsTold("search-team"))
	require.NoError(t, err)
	r.reap()
	r.eventually(func() bool { return r.deadLetters() == 2 })
	attempts := map[string]bridge.Attempt{}
	for _, a := range attemptsIn(t, told, 2) {
		attempts[a.Prediction] = a
	}
	require.Equal(t, "dead no such customer", attempts["bad"].Verdict+" "+attempts["bad"].Error)
	require.EqualValues(t, 1, attempts["bad"].Sequence)
	require.Equal(t, 2, attempts["tired"].Try)
	deadLetters := map[string]adminapi.DeadEntry{}
	require.NoError(t, redelivery.NewDeadLetters(r.JS, r.Names).Scan(ctx, adminapi.DeadSelection{Consumer: "search-team"}, func(e adminapi.DeadEntry, selected bool) error {
		require.True(t, selected)
		deadLetters[e.Event.PredictionID] = e
		return nil
	}))
	bad, tired := deadLetters["bad"], deadLetters["tired"]
	require.Equal(t, bridge.DeadTerminated, bad.Cause)
	require.Equal(t, bridge.FaultRefused, bad.Fault)
	require.Equal(t, "no such customer", bad.Error)
	require.EqualValues(t, 1, bad.DeadLetter.Sequence)
	require.Equal(t, bridge.DeadExhausted, tired.Cause)
	require.Equal(t, bridge.FaultFailed, tired.Fault)
	require.Equal(t, 2, tired.Attempts)
	r.eventually(func() bool {
		info, err := durable.Info(ctx)
		return err == nil && info.NumRedelivered == 0 && info.NumAckPending == 0
	})

	report := r.re.Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{})
	require.Equal(t, 2, report.Given)
	for range 2 {
		require.NoError(t, fetch().Term())
	}
	for _, a := range attemptsIn(t, told, 2) {
		require.Zero(t, a.Sequence, "that of a copy is not that of its event")
	}
	r.eventually(func() bool { return r.deadLetters() == 2 })
	require.NoError(t, redelivery.NewDeadLetters(r.JS, r.Names).Scan(ctx, adminapi.DeadSelection{}, func(e adminapi.DeadEntry, selected bool) error {
		require.True(t, selected)
		require.Equal(t, 1, e.Redrives)
		require.Equal(t, bridge.DeadTerminated, e.Cause)
		require.NotEmpty(t, e.Error)
		return nil
	}))
}

// A consumer of package consumers has written the dead letter itself, and ephemeral readers
// have none.
func TestNoSecondDeadLetter(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.broken.Store(true)
	r.publish("a", "b")
	_, err := r.JS.Publish(ctx, "hookspan.events.get3w.prediction.completed.x", []byte("no event"))
	require.NoError(t, err)
	r.run(consumers.Config{})
	r.eventually(func() bool { return r.deadLetters() == 3 })
	ephemeral, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	m, err := ephemeral.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.NoError(t, m.Term())
	r.eventually(func() bool { return r.Messages(t, "HOOKSPAN_ADVISORIES") == 4 })
	r.reap()
	r.reaped()
	require.EqualValues(t, 3, r.deadLetters())
}

// Of two answers of a program the first one counts.
func TestProgramThatAnswersTwice(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	durable, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "search-team", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2, AckWait: time.Minute,
	})
	require.NoError(t, err)
	r.publish("a", "b")
	answer := func(reply string, says ...string) {
		for _, text := range says {
			_, err := r.NC.Request(reply, []byte(text), patience)
			require.NoError(t, err)
		}
	}
	for _, says := range [][]string{{"+ACK", "+ACK", "-NAK"}, {"-NAK", "+ACK"}} {
		m, err := durable.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		answer(m.Reply(), says...)
	}
	r.reap()
	r.eventually(func() bool {
		none, err := durable.FetchNoWait(1)
		require.NoError(t, err)
		require.Empty(t, none.Messages())
		info, err := durable.Info(ctx)
		return err == nil && info.NumAckPending == 0 && info.NumPending == 0 && info.NumRedelivered == 0
	})
	require.Zero(t, r.deadLetters())
	require.Zero(t, r.Messages(t, "HOOKSPAN_ADVISORIES"))
}
