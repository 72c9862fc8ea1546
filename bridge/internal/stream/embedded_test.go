package stream_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// app connects as another team's program: over TCP, with a client that knows nothing of
// Hookspan.
func app(t *testing.T, b *streamtest.Bench) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
	require.NoError(t, err)
	return connectAs(t, b, stream.AppUser, password)
}

func connectAs(t *testing.T, b *streamtest.Bench, user, password string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(b.Server.URL(), nats.UserInfo(user, password), nats.Timeout(patience),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second))
	require.NoError(t, err)
	return nc, js
}

func TestNobodyConnectsWithoutPassword(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Listening())
	for _, opts := range [][]nats.Option{
		nil,
		{nats.UserInfo("app", "")},
		{nats.UserInfo("app", "wrong")},
		{nats.UserInfo("hookspan", "")},
		{nats.UserInfo("", "")},
	} {
		_, err := nats.Connect(b.Server.URL(), opts...)
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
	host, _, err := net.SplitHostPort(b.Server.URL()[len("nats://"):])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
}

func TestAppReadsThroughADurableOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Listening())
	e := natstest.Event("pred_1")
	_, err := b.Publisher().Publish(ctx, e)
	require.NoError(t, err)

	_, js := app(t, b)
	c, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "hookspan.events.*.prediction.completed.>",
	})
	require.NoError(t, err)
	msg, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, e.Body, msg.Data())
	require.NoError(t, msg.DoubleAck(ctx))

	got, err := bridge.DecodeEvent(bridge.Header(msg.Headers()), msg.Data())
	require.NoError(t, err)
	require.Equal(t, e.ID, got.ID)
}

func TestAppCannotHarm(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Listening())
	_, err := b.Publisher().Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	_, err = b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "archive", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	nc, js := app(t, b)

	harm := map[string]func() error{
		"publish an event": func() error {
			_, err := js.Publish(ctx, "hookspan.events.get3w.prediction.completed.x", nil)
			return err
		},
		"publish again": func() error {
			_, err := js.Publish(ctx, "hookspan.again.archive.get3w.prediction.completed.x", nil)
			return err
		},
		"publish a dead letter of ours": func() error {
			_, err := js.Publish(ctx, "hookspan.dead.archive.get3w.prediction.completed.x", nil)
			return err
		},
		"write a poll of a prediction": func() error {
			_, err := js.Publish(ctx, "$KV.HOOKSPAN_POLLS.poll.get3w.pred_1", []byte("{}"))
			return err
		},
		"lead the polling": func() error {
			return request(nc, "$KV.HOOKSPAN_POLLS.leader", `{"term":"mine"}`)
		},
		"forget the polls": func() error {
			return request(nc, "$JS.API.STREAM.PURGE.KV_HOOKSPAN_POLLS", "")
		},
		"delete a poll": func() error {
			return request(nc, "$JS.API.STREAM.MSG.DELETE.KV_HOOKSPAN_POLLS", `{"seq":1}`)
		},
		"purge":         func() error { return request(nc, "$JS.API.STREAM.PURGE.HOOKSPAN_EVENTS", "") },
		"delete stream": func() error { return js.DeleteStream(ctx, "HOOKSPAN_EVENTS") },
		"delete event": func() error {
			return request(nc, "$JS.API.STREAM.MSG.DELETE.HOOKSPAN_EVENTS", `{"seq":1}`)
		},
		"update stream": func() error {
			_, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: "HOOKSPAN_EVENTS", Subjects: []string{"x"}})
			return err
		},
		"create stream": func() error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine"}})
			return err
		},
		"delete our consumer": func() error { return js.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "archive") },
		"pause our consumer": func() error {
			_, err := js.PauseConsumer(ctx, "HOOKSPAN_EVENTS", "archive", time.Now().Add(time.Hour))
			return err
		},
		"change our consumer": func() error {
			_, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
				Durable: "archive", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "hookspan.events.none.>",
			})
			return err
		},
		"steal from our consumer": func() error {
			return request(nc, "$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.archive", `{"batch":1,"no_wait":true}`)
		},
		"acknowledge for our consumer": func() error {
			return request(nc, "$JS.ACK.HOOKSPAN_EVENTS.archive.1.1.1.1.0", "+ACK")
		},
		"remember for our consumer": func() error {
			_, err := js.Publish(ctx, "$KV.HOOKSPAN_ATTEMPTS.archive.x", nil)
			return err
		},
		"purge attempt records by a rollup": func() error {
			_, err := js.PublishMsg(ctx, &nats.Msg{Subject: "$KV.HOOKSPAN_ATTEMPTS.mine.x", Header: nats.Header{"Nats-Rollup": {"all"}}})
			return err
		},
		"publish to the quarantine": func() error {
			_, err := js.Publish(ctx, "hookspan.quarantine.get3w.stale", nil)
			return err
		},
		"publish to the ring": func() error {
			_, err := js.Publish(ctx, "hookspan.refused.get3w.not_authentic", nil)
			return err
		},
		"publish an alarm": func() error {
			_, err := js.Publish(ctx, "hookspan.alarms.clock", nil)
			return err
		},
		"record that our consumer lost events": func() error {
			_, err := js.Publish(ctx, "hookspan.dead.archive.expired", nil)
			return err
		},
		"read the quarantine": func() error { return request(nc, "$JS.API.DIRECT.GET.HOOKSPAN_QUARANTINE", `{"seq":1}`) },
		"read the ring":       func() error { return request(nc, "$JS.API.STREAM.MSG.GET.HOOKSPAN_REFUSED", `{"seq":1}`) },
		"listen to the quarantine": func() error {
			sub, err := nc.SubscribeSync("hookspan.quarantine.>")
			if err != nil {
				return err
			}
			_, err = sub.NextMsg(300 * time.Millisecond)
			return err
		},
		"listen to our answers": func() error {
			sub, err := nc.SubscribeSync("_INBOX_hookspan.>")
			if err != nil {
				return err
			}
			_, err = sub.NextMsg(300 * time.Millisecond)
			return err
		},
	}
	for what, do := range harm {
		require.Error(t, do(), what)
	}
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
	for _, st := range []string{"HOOKSPAN_DEAD", "HOOKSPAN_QUARANTINE", "HOOKSPAN_REFUSED", "HOOKSPAN_ALARMS", "KV_HOOKSPAN_POLLS"} {
		require.Zero(t, b.Messages(t, st), st)
	}
	c, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "archive")
	require.NoError(t, err)
	require.Empty(t, c.CachedInfo().Config.FilterSubject)
	require.False(t, c.CachedInfo().Paused)
	require.EqualValues(t, 1, c.CachedInfo().NumPending)
}

func request(nc *nats.Conn, subject, body string) error {
	_, err := nc.Request(subject, []byte(body), 300*time.Millisecond)
	return err
}

// A caller of the server names the reply subject, and may have the server push events to a
// subject of its choice. Neither must bypass the caller's permissions.
func TestAppCannotMakeTheServerPublishForIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Listening())
	for _, id := range []string{"pred_1", "pred_2", "pred_3"} {
		_, err := b.Publisher().Publish(ctx, natstest.Event(id))
		require.NoError(t, err)
	}
	nc, js := app(t, b)
	_, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "team", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	for i, target := range []string{
		"$JS.API.STREAM.PURGE.HOOKSPAN_EVENTS",
		"$JS.API.STREAM.DELETE.HOOKSPAN_EVENTS",
		"hookspan.events.get3w.prediction.completed.forged",
		"hookspan.again.archive.forged",
		"hookspan.dead.archive.get3w.prediction.completed.forged",
		"$KV.HOOKSPAN_ATTEMPTS.archive.forged",
		"hookspan.quarantine.get3w.forged",
		"hookspan.refused.get3w.forged",
		"hookspan.alarms.forged",
	} {
		for _, call := range [][2]string{
			{"$JS.API.INFO", ""},
			{"$JS.API.STREAM.INFO.HOOKSPAN_EVENTS", ""},
			{"$JS.API.DIRECT.GET.HOOKSPAN_EVENTS", `{"seq":1}`},
			{"$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.team", `{"batch":1}`},
			{"$KV.HOOKSPAN_ATTEMPTS.team", ""},
		} {
			require.NoError(t, nc.PublishRequest(call[0], target, []byte(call[1])))
		}
		name := "push" + string(rune('a'+i))
		_, err := js.CreatePushConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
			Durable: name, DeliverSubject: target, AckPolicy: jetstream.AckNonePolicy,
		})
		require.ErrorContains(t, err, "deliver_subject")
	}
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_EVENTS"))
	for _, st := range []string{"HOOKSPAN_DEAD", "HOOKSPAN_QUARANTINE", "HOOKSPAN_REFUSED", "HOOKSPAN_ALARMS"} {
		require.Zero(t, b.Messages(t, st), st)
	}
	require.EqualValues(t, 1, b.Messages(t, "KV_HOOKSPAN_ATTEMPTS"), "its own entry")
}

func TestListenAddresses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()

	folder, err := datafolder.Open(t.TempDir())
	require.NoError(t, err)
	defer func() { _ = folder.Close() }()
	for listen, want := range map[string]string{
		taken.Addr().String(): "address already in use",
		"127.0.0.1":           "missing port",
		"127.0.0.1:x":         "not a port",
		"192.0.2.1:4222":      "nats.listen",
	} {
		cfg := streamtest.Config()
		cfg.Listen = listen
		_, err := stream.StartEmbedded(folder, cfg, zap.NewNop())
		require.ErrorContains(t, err, want)
	}
}

// If another bridge or NATS server has the default address, any free one is used.
func TestDefaultAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	cfg := streamtest.Config()
	cfg.Listen, cfg.FreePort = taken.Addr().String(), true
	b := streamtest.Start(t, cfg)
	require.NotEqual(t, "nats://"+cfg.Listen, b.Server.URL())
	nc, _ := app(t, b)
	require.Equal(t, b.Server.URL(), nc.ConnectedUrl())
}

func TestStoreThatCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nats"), nil, 0o600))
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	defer func() { _ = folder.Close() }()
	_, err = stream.StartEmbedded(folder, streamtest.Config(), zap.NewNop())
	require.ErrorContains(t, err, "starting the embedded NATS server")
}

// Other users of the disk learn what the store may still need.
func TestStoreBytes(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	before, err := b.Server.StoreBytes()
	require.NoError(t, err)
	require.InDelta(t, 64<<20+64<<20+8*16<<20+8<<20, before, 1<<20, "events; hashes of what is erased; dead letters, quarantine, unconfirmed, refused, attempt records, polls, waiting events and advisories; alarms")
	e := natstest.Event("pred_1")
	e.Body = make([]byte, 4<<20)
	_, err = b.Publisher().Publish(context.Background(), e)
	require.NoError(t, err)
	after, err := b.Server.StoreBytes()
	require.NoError(t, err)
	require.InDelta(t, before-4<<20, after, 1<<20)
}
