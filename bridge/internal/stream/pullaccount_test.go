package stream_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// pulling is a server with two pull consumers, their durables, and an event for both.
func pulling(t *testing.T) *streamtest.Bench {
	t.Helper()
	cfg := streamtest.Listening()
	cfg.Pull = []string{"search-team", "other"}
	cfg.Consumers = append(cfg.Consumers, cfg.Pull...)
	b := streamtest.Start(t, cfg)
	for _, name := range cfg.Consumers {
		_, err := b.JS.CreateConsumer(context.Background(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy,
			FilterSubjects: []string{"hookspan.events.>", b.Names.AllAgain(name)},
		})
		require.NoError(t, err)
	}
	_, err := b.Publisher().Publish(context.Background(), natstest.Event("pred_1"))
	require.NoError(t, err)
	return b
}

func asPull(t *testing.T, b *streamtest.Bench, consumer string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.PullUser(consumer))
	require.NoError(t, err)
	return connectAs(t, b, stream.PullUser(consumer), password)
}

func TestPullUserReadsItsDurable(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := pulling(t)
	_, js := asPull(t, b, "search-team")
	c, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", "search-team")
	require.NoError(t, err)
	m, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, natstest.Event("pred_1").Body, m.Data())
	require.NoError(t, m.InProgress())
	require.NoError(t, m.Nak())
	it, err := c.Messages(jetstream.PullMaxMessages(1))
	require.NoError(t, err)
	defer it.Stop()
	m, err = it.Next()
	require.NoError(t, err)
	meta, err := m.Metadata()
	require.NoError(t, err)
	require.EqualValues(t, 2, meta.NumDelivered)
	require.NoError(t, m.DoubleAck(ctx))
	_, err = js.AccountInfo(ctx)
	require.NoError(t, err, "clients in other languages ask for it first")
}

// refused makes all calls at once, since a refusal has no answer, and requires that none is
// answered.
func refused(t *testing.T, nc *nats.Conn, calls [][2]string) {
	t.Helper()
	errs := make([]error, len(calls))
	var asking sync.WaitGroup
	for i, call := range calls {
		asking.Go(func() { errs[i] = request(nc, call[0], call[1]) })
	}
	asking.Wait()
	for i, call := range calls {
		require.Error(t, errs[i], call[0])
	}
}

// Forbidden calls have no effect, whatever the client is told.
func TestPullUserCannotHarm(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := pulling(t)
	nc, _ := asPull(t, b, "search-team")
	var calls [][2]string
	for _, subject := range []string{
		"hookspan.events.get3w.prediction.completed.x",
		"hookspan.again.search-team.get3w.prediction.completed.x",
		"hookspan.again.other.get3w.prediction.completed.x",
		"hookspan.dead.search-team.get3w.prediction.completed.x",
		"hookspan.dead.other.expired",
		"hookspan.later.other.1",
		"hookspan.wait.search-team.1",
		"hookspan.wait.other.1",
		"hookspan.due.search-team.get3w.prediction.completed.x",
		"hookspan.quarantine.get3w.syntax",
		"hookspan.refused.get3w.not_authentic",
		"hookspan.alarms.clock",
		"$KV.HOOKSPAN_ATTEMPTS.search-team.x",
		"$KV.HOOKSPAN_ATTEMPTS.archive.x",
	} {
		calls = append(calls, [2]string{subject, ""})
	}
	refused(t, nc, append(calls, [][2]string{
		{"$JS.API.STREAM.INFO.HOOKSPAN_EVENTS", ""},
		{"$JS.API.STREAM.NAMES", ""},
		{"$JS.API.STREAM.LIST", ""},
		{"$JS.API.STREAM.MSG.GET.HOOKSPAN_EVENTS", `{"seq":1}`},
		{"$JS.API.DIRECT.GET.HOOKSPAN_EVENTS", `{"seq":1}`},
		{"$JS.API.DIRECT.GET.HOOKSPAN_DEAD", `{"seq":1}`},
		{"$JS.API.DIRECT.GET.HOOKSPAN_LATER", `{"seq":1}`},
		{"$JS.API.STREAM.PURGE.HOOKSPAN_EVENTS", ""},
		{"$JS.API.STREAM.PURGE.HOOKSPAN_LATER", ""},
		{"$JS.API.STREAM.DELETE.HOOKSPAN_EVENTS", ""},
		{"$JS.API.STREAM.MSG.DELETE.HOOKSPAN_EVENTS", `{"seq":1}`},
		{"$JS.API.STREAM.UPDATE.HOOKSPAN_EVENTS", `{"name":"HOOKSPAN_EVENTS","subjects":["x"]}`},
		{"$JS.API.STREAM.CREATE.MINE", `{"name":"MINE","subjects":["mine"]}`},
		{"$JS.API.CONSUMER.NAMES.HOOKSPAN_EVENTS", ""},
		{"$JS.API.CONSUMER.LIST.HOOKSPAN_EVENTS", ""},
		{"$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.other", ""},
		{"$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.archive", ""},
		{"$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS.mine", `{"stream_name":"HOOKSPAN_EVENTS","config":{"durable_name":"mine","ack_policy":"explicit"}}`},
		{"$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS.search-team", `{"stream_name":"HOOKSPAN_EVENTS","config":{"durable_name":"search-team","ack_policy":"explicit","max_deliver":1}}`},
		{"$JS.API.CONSUMER.DURABLE.CREATE.HOOKSPAN_EVENTS.mine", `{"stream_name":"HOOKSPAN_EVENTS","config":{"durable_name":"mine","ack_policy":"explicit"}}`},
		{"$JS.API.CONSUMER.DELETE.HOOKSPAN_EVENTS.search-team", ""},
		{"$JS.API.CONSUMER.DELETE.HOOKSPAN_EVENTS.other", ""},
		{"$JS.API.CONSUMER.PAUSE.HOOKSPAN_EVENTS.search-team", `{"pause_until":"2999-01-01T00:00:00Z"}`},
		{"$JS.API.CONSUMER.PAUSE.HOOKSPAN_EVENTS.other", `{"pause_until":"2999-01-01T00:00:00Z"}`},
		{"$JS.API.CONSUMER.RESET.HOOKSPAN_EVENTS.other", ""},
		{"$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.other", `{"batch":1,"no_wait":true}`},
		{"$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_LATER.mover", `{"batch":1,"no_wait":true}`},
		{"$JS.ACK.HOOKSPAN_EVENTS.other.1.1.1.1.0", "+ACK"},
		{"$JS.ACK.HOOKSPAN_EVENTS.archive.1.1.1.1.0", "+TERM"},
	}...))
	listening := []*nats.Subscription{}
	for _, subject := range []string{"hookspan.>", "$JS.>", "_INBOX_hookspan.>", "_R_.>", ">"} {
		sub, err := nc.SubscribeSync(subject)
		require.NoError(t, err) // its refusal comes later
		listening = append(listening, sub)
	}
	// An eavesdropper would see the following.
	_, err := b.Publisher().Publish(ctx, natstest.Event("pred_2"))
	require.NoError(t, err)
	_, other := asPull(t, b, "other")
	c, err := other.Consumer(ctx, "HOOKSPAN_EVENTS", "other")
	require.NoError(t, err)
	require.EqualValues(t, 2, c.CachedInfo().NumPending)
	require.Zero(t, c.CachedInfo().Delivered.Consumer)
	require.NoError(t, nc.Flush())
	for _, sub := range listening {
		n, _, err := sub.Pending()
		require.True(t, err != nil || n == 0, sub.Subject)
	}

	require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_EVENTS"))
	for _, st := range []string{"HOOKSPAN_DEAD", "HOOKSPAN_LATER", "HOOKSPAN_QUARANTINE", "HOOKSPAN_REFUSED", "HOOKSPAN_ALARMS", "KV_HOOKSPAN_ATTEMPTS"} {
		require.Zero(t, b.Messages(t, st), st)
	}
	for _, name := range []string{"archive", "search-team", "other"} {
		c, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", name)
		require.NoError(t, err)
		require.False(t, c.CachedInfo().Paused, name)
		require.Equal(t, -1, c.CachedInfo().Config.MaxDeliver, name)
		require.EqualValues(t, 2, c.CachedInfo().NumPending, name)
		require.Zero(t, c.CachedInfo().NumAckPending, name)
	}
	st, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.Equal(t, 3, st.CachedInfo().State.Consumers)
}

// The reply subject is the caller's choice, and must not bypass its permissions.
func TestPullUserCannotMakeTheServerPublishForIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := pulling(t)
	nc, js := asPull(t, b, "search-team")
	c, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", "search-team")
	require.NoError(t, err)
	for _, target := range []string{
		"$JS.API.STREAM.PURGE.HOOKSPAN_EVENTS",
		"$JS.API.CONSUMER.DELETE.HOOKSPAN_EVENTS.other",
		"$JS.ACK.HOOKSPAN_EVENTS.other.1.1.1.1.0",
		"hookspan.events.get3w.prediction.completed.forged",
		"hookspan.again.other.forged",
		"hookspan.dead.other.get3w.prediction.completed.forged",
		"hookspan.later.other.forged",
		"hookspan.wait.other.forged",
		"$KV.HOOKSPAN_ATTEMPTS.other.forged",
	} {
		for _, call := range [][2]string{
			{"$JS.API.INFO", ""},
			{"$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.search-team", ""},
			{"$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.search-team", `{"batch":1,"no_wait":true}`},
			{"$JS.ACK.HOOKSPAN_EVENTS.search-team.1.1.1.1.0", "-NAK"},
			{"hookspan.later.search-team.1", "x"},
		} {
			require.NoError(t, nc.PublishRequest(call[0], target, []byte(call[1])))
		}
	}
	_, err = c.Info(ctx) // sent after the calls, on the same connection
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
	for _, st := range []string{"HOOKSPAN_DEAD", "HOOKSPAN_LATER", "KV_HOOKSPAN_ATTEMPTS"} {
		require.Zero(t, b.Messages(t, st), st)
	}
	other, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "other")
	require.NoError(t, err)
	require.EqualValues(t, 1, other.CachedInfo().NumPending)
}

func TestPullUserKeepsItsPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := streamtest.Listening()
	cfg.Pull = []string{"team"}
	var passwords []string
	for range 2 {
		b := streamtest.StartIn(t, dir, cfg)
		password, err := datafolder.ReadSecret(dir, stream.PullUser("team"))
		require.NoError(t, err)
		passwords = append(passwords, password)
		connectAs(t, b, stream.PullUser("team"), password)
		_, err = nats.Connect(b.Server.URL(), nats.UserInfo(stream.PullUser("team"), "wrong"))
		require.ErrorIs(t, err, nats.ErrAuthorization)
		b.Stop()
	}
	require.Equal(t, passwords[0], passwords[1])
}
