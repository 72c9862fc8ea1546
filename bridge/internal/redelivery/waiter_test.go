package redelivery

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// bench is a server with two pull consumers, one consumer of the bridge, a waiter and a mover.
type bench struct {
	*streamtest.Bench
	t   *testing.T
	pub *stream.Publisher
}

func setup(t *testing.T) *bench {
	t.Helper()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	cfg.Pull = []string{"search", "other"}
	cfg.Consumers = append([]string{"archive"}, cfg.Pull...)
	b := &bench{Bench: streamtest.Start(t, cfg), t: t}
	b.pub = b.Publisher()
	b.begin(cfg.Consumers...)
	return b
}

// begin makes durables, and starts the waiter and the mover.
func (b *bench) begin(durables ...string) {
	t := b.t
	t.Helper()
	for _, name := range durables {
		_, err := b.JS.CreateConsumer(t.Context(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy,
			FilterSubjects: []string{"hookspan.events.>", b.Names.AllAgain(name)},
		})
		require.NoError(t, err)
	}
	b.run(NewWaiter(b.JS, WaiterConfig{Names: b.Names, Alarms: b.Alarms}))
	b.run(NewMover(b.JS, b.pub, MoverConfig{Names: b.Names}))
	require.Eventually(t, func() bool {
		_, err := b.NC.Request("hookspan.wait.search.ping", nil, patience)
		return err == nil
	}, patience, time.Millisecond, "the waiter listens")
}

func (b *bench) run(r interface{ Run(context.Context) error }) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); require.NoError(b.t, <-done) })
}

// as connects over TCP, as another program.
func (b *bench) as(user string) jetstream.JetStream {
	b.t.Helper()
	password, err := datafolder.ReadSecret(b.Folder.Dir(), user)
	require.NoError(b.t, err)
	nc, err := nats.Connect(b.Server.URL(), nats.UserInfo(user, password), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(b.t, err)
	b.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(b.t, err)
	return js
}

func (b *bench) read(js jetstream.JetStream, consumer string) jetstream.Msg {
	b.t.Helper()
	c, err := js.Consumer(b.t.Context(), "HOOKSPAN_EVENTS", consumer)
	require.NoError(b.t, err)
	m, err := c.Next(jetstream.FetchMaxWait(patience))
	require.NoError(b.t, err)
	return m
}

func (b *bench) nothingWaits() {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.Messages(b.t, "HOOKSPAN_LATER") == 0 }, patience, 5*time.Millisecond)
}

func sequence(m jetstream.Msg) uint64 {
	meta, err := m.Metadata()
	if err != nil {
		panic(err)
	}
	return meta.Sequence.Stream
}

// waiting returns the documented request: a copy of the message with two headers.
func waiting(m jetstream.Msg, consumer string, until time.Time) *nats.Msg {
	header := maps.Clone(m.Headers())
	tail := m.Subject()
	for _, prefix := range []string{"hookspan.events.", "hookspan.again." + consumer + "."} {
		tail = strings.TrimPrefix(tail, prefix)
	}
	header.Set("Nats-Schedule", "@at "+until.UTC().Format(time.RFC3339))
	header.Set("Nats-Schedule-Target", "hookspan.due."+consumer+"."+tail)
	return &nats.Msg{Subject: fmt.Sprintf("hookspan.later.%s.%d", consumer, sequence(m)), Header: header, Data: m.Data()}
}

func TestPullProgramLetsAnEventWait(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.waitsAndComesBack(b.as(stream.PullUser("search")))
	for _, name := range []string{"other", "archive"} {
		c, err := b.JS.Consumer(t.Context(), "HOOKSPAN_EVENTS", name)
		require.NoError(t, err)
		require.EqualValues(t, 1, c.CachedInfo().NumPending, "nothing came again for %s", name)
	}
}

func (b *bench) waitsAndComesBack(js jetstream.JetStream) {
	t := b.t
	t.Helper()
	ctx := t.Context()
	ev := natstest.Event("pred_1")
	_, err := b.pub.Publish(ctx, ev)
	require.NoError(t, err)
	m := b.read(js, "search")
	told, err := b.NC.SubscribeSync(b.Names.AttemptsTold("search"))
	require.NoError(t, err)
	// Twice: a redelivered copy may wait as the event itself.
	for range 2 {
		until := time.Now()
		ack, err := js.PublishMsg(ctx, waiting(m, "search", until))
		require.NoError(t, err)
		block, err := told.NextMsg(patience)
		require.NoError(t, err)
		attempts, err := bridge.DecodeAttempts(block.Data)
		require.NoError(t, err)
		require.Equal(t, []bridge.Attempt{{
			Event: ev.ID, Source: ev.Source, Prediction: ev.PredictionID, Sequence: 1, At: attempts[0].At,
			Verdict: "retry", Next: attempts[0].Next,
		}}, attempts, "how long it took and why it failed is not known")
		require.WithinRange(t, attempts[0].Next, until.Add(-time.Second), time.Now())
		require.Equal(t, "HOOKSPAN_LATER", ack.Stream)
		require.NotZero(t, ack.Sequence)
		require.NoError(t, m.DoubleAck(ctx))
		m = b.read(js, "search")
		require.Equal(t, "hookspan.again.search.get3w.prediction.completed.get3w.flux-dev", m.Subject())
		require.Equal(t, ev.Body, m.Data())
		back, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
		require.NoError(t, err)
		require.Equal(t, ev.ID, back.ID)
	}
	require.NoError(t, m.DoubleAck(ctx))
	b.nothingWaits()
}

// The copy keeps the attempts that package consumers counts; its original sequence is that of
// the stored event, not that of the request.
func TestCopyKeepsWhatItSaysOfEarlierAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ev := natstest.Event("pred_1")
	receipt, err := b.pub.Publish(t.Context(), ev)
	require.NoError(t, err)
	again := bridge.Again{Attempt: 4, First: time.Unix(5, 0).UTC(), Sequence: 9, Copied: receipt.Sequence}
	m := &nats.Msg{Subject: b.Names.Later("search", ev.ID, 4), Header: nats.Header(again.Header(ev.Header())), Data: ev.Body}
	_, err = b.as(stream.PullUser("search")).PublishMsg(t.Context(), m, jetstream.WithScheduleAt(time.Now().Add(time.Hour)),
		jetstream.WithScheduleTarget(b.Names.Due("search", b.Names.Event(ev.Source, ev.Status, ev.Model))))
	require.NoError(t, err)
	st, err := b.JS.Stream(t.Context(), "HOOKSPAN_LATER")
	require.NoError(t, err)
	kept, err := st.GetLastMsgForSubject(t.Context(), m.Subject)
	require.NoError(t, err)
	got, err := bridge.DecodeAgain(bridge.Header(kept.Header))
	require.NoError(t, err)
	again.Sequence, again.Copied = receipt.Sequence, 0
	require.Equal(t, again, got)
}

// The stream obeys headers with which one consumer could end the wait of another, read what
// waits for it, or schedule repeats for ever.
func TestHeadersThatTheServerObeysGoNoFurther(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	_, err := b.pub.Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	other, js := b.as(stream.PullUser("other")), b.as(stream.PullUser("search"))
	victim := waiting(b.read(other, "other"), "other", time.Now().Add(time.Hour))
	_, err = other.PublishMsg(ctx, victim)
	require.NoError(t, err)
	attacks := []nats.Header{
		{"Nats-Schedule-Next": {"purge"}, "Nats-Scheduler": {victim.Subject}},
		{"Nats-Schedule-Source": {victim.Subject}},
		{"Nats-Schedule-Rollup": {"sub"}},
		{"Nats-Schedule-TTL": {"1s"}},
		{"Nats-Rollup": {"all"}},
		{"Nats-TTL": {"1s"}},
		{"Nats-Msg-Id": {"always the same"}},
		{"Nats-Expected-Last-Sequence": {"77"}},
		{"Nats-Batch-Id": {"batch"}, "Nats-Batch-Sequence": {"1"}},
		{"Nats-Incr": {"1"}},
	}
	for i, headers := range attacks {
		_, err := b.pub.Publish(ctx, natstest.Event(fmt.Sprint("attack_", i)))
		require.NoError(t, err)
		m := waiting(b.read(js, "search"), "search", time.Now().Add(time.Hour))
		maps.Copy(m.Header, headers)
		_, err = js.PublishMsg(ctx, m)
		require.NoError(t, err, "%v", headers)
		// Without a schedule only they are left.
		m.Header.Del("Nats-Schedule")
		_, err = js.PublishMsg(ctx, m)
		require.ErrorContains(t, err, "must be @at", "%v", headers)
	}
	st, err := b.JS.Stream(ctx, "HOOKSPAN_LATER")
	require.NoError(t, err)
	require.EqualValues(t, 11, st.CachedInfo().State.Msgs)
	for i := range uint64(11) {
		kept, err := st.GetMsg(ctx, i+1)
		require.NoError(t, err)
		for _, headers := range attacks {
			for key, values := range headers { // the server has headers of its own
				require.NotEqual(t, values, kept.Header[key], key)
			}
		}
	}
}

// User app may let events wait only for durables of its own.
func TestAppLetsOnlyEventsOfItsOwnWait(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	js := b.as(stream.AppUser)
	_, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "mine", AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: []string{"hookspan.events.>", "hookspan.again.mine.>"},
	})
	require.NoError(t, err)
	_, err = b.pub.Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	event := b.read(js, "mine")
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	for _, name := range []string{"archive", "search"} {
		_, err := js.PublishMsg(short, waiting(event, name, time.Now()))
		require.Error(t, err, name)
	}
	// The answer to a call is published without permission checks.
	for _, call := range []string{"$JS.API.DIRECT.GET.HOOKSPAN_EVENTS", "$JS.API.STREAM.MSG.GET.HOOKSPAN_EVENTS"} {
		require.NoError(t, js.Conn().PublishRequest(call, "hookspan.later.archive.1", []byte(`{"seq":1}`)))
	}
	_, err = js.PublishMsg(ctx, waiting(event, "mine", time.Now()))
	require.NoError(t, err)
	require.NoError(t, event.DoubleAck(ctx))
	require.Equal(t, "hookspan.again.mine.get3w.prediction.completed.get3w.flux-dev", b.read(js, "mine").Subject())
	require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_EVENTS"))
	b.nothingWaits()
}

// In an account without permission checks, the answer must not go where the caller could not
// publish itself.
func TestAnswerGoesToInboxesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, err := b.NC.SubscribeSync("hookspan.>")
	require.NoError(t, err)
	require.NoError(t, b.NC.PublishRequest("hookspan.wait.search.1", "hookspan.events.get3w.prediction.completed.forged", nil))
	for range 2 * waitersAtOnce { // so many that the first was answered
		_, err := b.NC.Request("hookspan.wait.search.2", nil, patience)
		require.NoError(t, err)
	}
	for range 1 + 2*waitersAtOnce {
		m, err := sub.NextMsg(patience)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(m.Subject, "hookspan.wait."), m.Subject)
	}
	n, _, err := sub.Pending()
	require.NoError(t, err)
	require.Zero(t, n)
	require.Zero(t, b.Messages(t, "HOOKSPAN_EVENTS"))
}
