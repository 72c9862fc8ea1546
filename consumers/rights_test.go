package consumers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/queue/queuetest"
)

// workerRights are what docs/operations.md says that an operator grants a worker of
// the consumer team.
var workerRights = []string{
	"$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.team",
	"$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.team",
	"$JS.ACK.HOOKSPAN_EVENTS.team.>",
	"$JS.ACK.*.*.HOOKSPAN_EVENTS.team.>",
	"hookspan.dead.team.>",
	"hookspan.later.team.>",
	"$KV.HOOKSPAN_LEDGER.team.>",
	"$JS.API.STREAM.INFO.KV_HOOKSPAN_LEDGER",
	"$JS.API.DIRECT.GET.KV_HOOKSPAN_LEDGER.$KV.HOOKSPAN_LEDGER.team.>",
}

// operated is a NATS as an operator runs it, with a worker that has those rights.
type operated struct {
	*bench
	worker     jetstream.JetStream
	violations chan error
}

func setupOperated(t *testing.T) *operated {
	t.Helper()
	x := queuetest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "worker", Password: "worker", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: workerRights},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_team.>"}},
			}},
		}
		o.NoAuthUser = "admin"
	})
	x.Start()
	x.Provision(queue.StreamsConfig{MaxBytes: 64 << 20})
	core, logs := observer.New(zap.DebugLevel)
	b := &bench{Bench: &queuetest.Bench{JS: x.JetStream()}, t: t, logs: logs, log: zap.New(core)}
	b.NC = b.JS.Conn()
	b.pub = queue.NewPublisher(b.JS, b.Names)
	b.pub.SetFit(true)
	t.Cleanup(b.pub.Close)
	o := &operated{bench: b, violations: make(chan error, 100)}
	o.worker = x.JetStream(nats.UserInfo("worker", "worker"), nats.CustomInboxPrefix("_INBOX_team"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.violations <- err }))
	return o
}

// bind runs a consumer that only binds, as the worker.
func (o *operated) bind(cfg Config, h HandlerFunc) {
	o.t.Helper()
	cfg.Name, cfg.BindOnly, cfg.Logger = "team", true, o.log
	c, err := New(o.worker, h, cfg)
	require.NoError(o.t, err)
	c.short = 0
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	o.t.Cleanup(func() { cancel(); require.NoError(o.t, <-done) })
}

// Everything that a consumer does it does with those rights.
func TestBoundConsumerNeedsNoRightButItsOwn(t *testing.T) {
	for _, once := range []bool{false, true} {
		o := setupOperated(t)
		o.move()
		wire := o.verdicts("team")
		cfg := Config{Name: "team", Start: Start{All: true}, Once: once}
		_, err := cfg.Durable().Provision(t.Context(), o.JS)
		require.NoError(t, err)
		var seen []string
		o.bind(cfg, func(ctx context.Context, ev *bridge.Event) error {
			seen = append(seen, ev.PredictionID)
			switch {
			case ev.PredictionID == "dead":
				return Permanent(errors.New("no"))
			case ev.PredictionID == "later" && AttemptOf(ctx).Number < 3:
				return RetryAfter(errors.New("not yet"), time.Second)
			}
			return nil
		})
		o.publish("good")
		require.Equal(t, "+ACK", next(t, wire))
		o.publish("dead")
		require.Equal(t, "+TERM permanent", next(t, wire))
		o.publish("later")
		for range 3 {
			require.Equal(t, "+ACK", next(t, wire))
		}
		require.Equal(t, []string{"good", "dead", "later", "later", "later"}, seen)
		require.Equal(t, "permanent", o.letters("team", 1)[0].Headers().Get("hookspan-dead-cause"))
		require.NoError(t, o.worker.Conn().Flush())
		require.Empty(t, o.violations)
	}
}

// A letter that the stream knows already is no reason to look where a worker may not.
func TestBoundConsumerBuriesTwice(t *testing.T) {
	o := setupOperated(t)
	cfg := Config{Name: "team", Start: Start{All: true}}
	wire := o.verdicts("team")
	_, err := o.JS.Publish(t.Context(), "hookspan.dead.other.x", nil, jetstream.WithMsgID("dead:team:"+queuetest.Event("pred_1").ID+":0"))
	require.NoError(t, err)
	_, err = cfg.Durable().Provision(t.Context(), o.JS)
	require.NoError(t, err)
	o.bind(cfg, func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) })
	o.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.Equal(t, queuetest.Event("pred_1").Body, o.letters("team", 1)[0].Data())
	require.Empty(t, o.violations)
}

// It says who must act, waits, and goes on by itself.
func TestBoundConsumerWaitsForItsDurable(t *testing.T) {
	ctx := t.Context()
	o := setupOperated(t)
	wire := o.verdicts("team")
	o.bind(Config{}, func(context.Context, *bridge.Event) error { return nil })
	o.logged("durable does not exist: team: whoever provisions stream HOOKSPAN_EVENTS must put it right")
	_, err := o.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "team")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)

	_, err = o.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3, FilterSubject: "hookspan.events.none.>",
	})
	require.NoError(t, err)
	o.logged("durable differs: team: [filter from [hookspan.events.none.>] to [hookspan.events.*.prediction.completed.>")
	o.logged("max deliver from 3 to -1")
	require.Equal(t, 3, o.info("team").Config.MaxDeliver, "it is not its to change")

	_, err = Durable{Name: "team"}.Provision(ctx, o.JS)
	require.NoError(t, err)
	o.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	require.Empty(t, o.violations)
}

func (o *operated) logged(text string) {
	o.t.Helper()
	o.eventually(func() bool {
		for _, line := range o.logs.FilterLevelExact(zap.ErrorLevel).All() {
			if err, ok := line.ContextMap()["error"].(string); ok && strings.Contains(err, text) {
				return true
			}
		}
		return false
	}, text)
}
