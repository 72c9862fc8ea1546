package redelivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// rivalled returns a rig beside a program that takes each message id in advance: those of dead
// letters as user app, those of copies as a program of an external NATS that may write copies
// for a consumer of its own.
func rivalled(t *testing.T) (*rig, *streamtest.Rival) {
	t.Helper()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	cfg.Consumers = []string{"archive"}
	r := &rig{Bench: streamtest.Start(t, cfg), t: t, handled: map[string]int{}}
	app := r.App()
	deadLetters := streamtest.NewRival(r.Bench, app, map[string]string{"HOOKSPAN_DEAD": "hookspan.dead.mine.x"})
	copies := streamtest.NewRival(r.Bench, r.JS, map[string]string{"HOOKSPAN_EVENTS": "hookspan.again.mine.x"})
	r.re = r.redeliverer(copies)
	return r, deadLetters
}

func (r *rig) start(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	r.t.Cleanup(func() { cancel(); require.NoError(r.t, <-done) })
}

func (r *rig) count(stream, subjects string) (n int) {
	r.t.Helper()
	s, err := r.JS.Stream(r.t.Context(), stream)
	require.NoError(r.t, err)
	info, err := s.Info(r.t.Context(), jetstream.WithSubjectFilter(subjects))
	require.NoError(r.t, err)
	for _, of := range info.State.Subjects {
		n += int(of)
	}
	return n
}

// The dead letter of a given-up event is stored although another program used its id, and once
// although its advisory comes twice.
func TestReaperBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	r, store := rivalled(t)
	ctx := t.Context()
	durable, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "archive", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	r.publish("a")
	m, err := durable.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.NoError(t, m.TermWithReason("no"))
	r.eventually(func() bool { return r.Messages(t, "HOOKSPAN_ADVISORIES") == 1 })
	advisories, err := r.JS.Stream(ctx, "HOOKSPAN_ADVISORIES")
	require.NoError(t, err)
	first, err := advisories.GetMsg(ctx, 1)
	require.NoError(t, err)
	r.start(redelivery.NewReaper(r.JS, store, redelivery.MoverConfig{Names: r.Names}).Run)
	r.eventually(func() bool { return r.count("HOOKSPAN_DEAD", "hookspan.dead.archive.>") == 1 })
	require.NoError(t, r.NC.Publish(first.Subject, first.Data)) // as from before a crash
	r.eventually(func() bool { return r.Messages(t, "HOOKSPAN_ADVISORIES") == 2 })
	r.reaped()
	require.Equal(t, 1, r.count("HOOKSPAN_DEAD", "hookspan.dead.archive.>"))
	require.Len(t, store.Taken(), 1)
	require.EqualValues(t, 2, r.deadLetters())
}

// A due message is brought back, or becomes a dead letter when it is no event, although another
// program used the id.
func TestMoverBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	r, _ := rivalled(t)
	store := streamtest.NewRival(r.Bench, r.JS, map[string]string{"HOOKSPAN_DEAD": "hookspan.dead.mine.x", "HOOKSPAN_EVENTS": "hookspan.again.mine.x"})
	r.start(redelivery.NewMover(r.JS, store, redelivery.MoverConfig{Names: r.Names}).Run)
	e := natstest.Event("a")
	wait := func(header bridge.Header, n int) {
		_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: r.Names.Later("team", e.ID, n), Header: nats.Header(header), Data: e.Body},
			jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget(r.Names.Due("team", r.Names.SubjectOf(e))))
		require.NoError(t, err)
	}
	wait(bridge.Again{Attempt: 2}.Header(e.Header()), 2)
	wait(bridge.Header{}, 3)
	r.eventually(func() bool { return r.Messages(t, "HOOKSPAN_LATER") == 0 })
	require.Equal(t, 1, r.count("HOOKSPAN_EVENTS", "hookspan.again.team.>"))
	require.Equal(t, 1, r.count("HOOKSPAN_DEAD", "hookspan.dead.team.>"))
	require.Len(t, store.Taken(), 2)
}

// A redriven event is stored although another program used the id, or the copy was removed:
// only then is its dead letter removed.
func TestRedelivererBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	r, _ := rivalled(t)
	ctx := t.Context()
	_, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: []string{"hookspan.events.>", r.Names.AllAgain("team")},
	})
	require.NoError(t, err)
	r.publish("a", "b")
	e := natstest.Event("a")
	deadLetter := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Subject: r.Names.SubjectOf(e), Sequence: 1}
	_, err = r.JS.PublishMsg(ctx, &nats.Msg{Subject: r.Names.Dead("team", deadLetter.Subject), Header: nats.Header(deadLetter.Header(e.Header())), Data: e.Body})
	require.NoError(t, err)

	report := r.re.Redrive(ctx, adminapi.DeadSelection{}, adminapi.RedeliveryOptions{})
	require.Equal(t, 1, report.Given)
	require.Zero(t, r.deadLetters())
	require.Equal(t, 1, r.count("HOOKSPAN_EVENTS", "hookspan.again.team.>"))

	for range 2 { // the second is a true repeat
		report = r.re.Replay(ctx, "team", "run", adminapi.EventSelection{Sequences: []uint64{2}}, adminapi.RedeliveryOptions{})
		require.Equal(t, 1, report.Given, report.Stopped)
		require.Equal(t, 2, r.count("HOOKSPAN_EVENTS", "hookspan.again.team.>"))
	}
	events, err := r.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.NoError(t, events.Purge(ctx, jetstream.WithPurgeSubject(r.Names.AllAgain("team"))))
	report = r.re.Replay(ctx, "team", "run", adminapi.EventSelection{Sequences: []uint64{2}}, adminapi.RedeliveryOptions{})
	require.Equal(t, 1, report.Given)
	require.Equal(t, 1, r.count("HOOKSPAN_EVENTS", "hookspan.again.team.>"))
}
