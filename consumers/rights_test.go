package consumers

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natstest"
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
	"hookspan.attempts.team",
	"$KV.HOOKSPAN_ATTEMPTS.team.>",
	"$JS.API.STREAM.INFO.KV_HOOKSPAN_ATTEMPTS",
	"$JS.API.DIRECT.GET.KV_HOOKSPAN_ATTEMPTS.$KV.HOOKSPAN_ATTEMPTS.team.>",
}

// makingRights are what a worker has beyond those that makes its durable by itself.
var makingRights = []string{
	"$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS.team",
	"$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS.team.>",
	"$JS.API.STREAM.INFO.HOOKSPAN_EVENTS",
	"$JS.API.STREAM.INFO.HOOKSPAN_LATER",
	"$JS.API.STREAM.INFO.HOOKSPAN_DEAD",
	"$JS.API.DIRECT.GET.HOOKSPAN_DEAD",
}

// without are the rights but for those to subjects that end so.
func without(end string, rights []string) (out []string) {
	for _, subject := range rights {
		if !strings.HasSuffix(subject, end) {
			out = append(out, subject)
		}
	}
	return out
}

// provisionRights are what hookspan provision needs.
var provisionRights = []string{
	"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.CREATE.>",
}

// operated is a NATS as an operator runs it, with a worker that has those rights.
type operated struct {
	*bench
	x          *natstest.External
	worker     jetstream.JetStream
	violations chan error
}

func setupOperated(t *testing.T) *operated {
	t.Helper()
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			limited("worker", workerRights),
			limited("maker", append(makingRights, workerRights...)),
			limited("blind", append(without("HOOKSPAN_DEAD", makingRights), workerRights...)),
			limited("mute", without(".attempts.team", workerRights)),
			limited("provision", provisionRights),
		}
		o.NoAuthUser = "admin"
	})
	x.Start()
	all := x.MakeStreams()
	core, logs := observer.New(zap.DebugLevel)
	b := &bench{Streams: all, t: t, logs: logs, log: slog.New(zapslog.NewHandler(core))}
	o := &operated{bench: b, x: x, violations: make(chan error, 100)}
	o.worker = o.as("worker")
	return o
}

// limited is a user whose password is its name.
func limited(name string, publish []string) *server.User {
	return &server.User{Username: name, Password: name, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: publish},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_" + name + ".>"}},
	}}
}

func (o *operated) as(user string) jetstream.JetStream {
	o.t.Helper()
	return o.x.JetStream(nats.UserInfo(user, user), nats.CustomInboxPrefix("_INBOX_"+user),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.violations <- err }))
}

// bind runs a consumer that only binds, as the worker.
func (o *operated) bind(cfg Config, h HandlerFunc) {
	o.t.Helper()
	cfg.Name, cfg.BindOnly = "team", true
	o.runAs(o.worker, cfg, h)
}

func (o *operated) runAs(js jetstream.JetStream, cfg Config, h HandlerFunc) {
	o.t.Helper()
	cfg.Logger = o.log
	c, err := New(js, h, cfg)
	require.NoError(o.t, err)
	c.short = 0
	quick(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	o.t.Cleanup(func() { cancel(); require.NoError(o.t, <-done) })
}

// Everything that a consumer does it does with those rights.
func TestConsumersNeedNoRightsButThose(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"worker", "maker"} {
		for _, once := range []bool{false, true} {
			o := setupOperated(t)
			o.move()
			wire := o.verdicts("team")
			cfg := Config{Name: "team", Start: Start{All: true}, Once: once, BindOnly: user == "worker"}
			if cfg.BindOnly {
				_, err := cfg.durable().Provision(t.Context(), o.as("provision"))
				require.NoError(t, err)
			}
			o.everything(o.as(user), cfg, wire)
		}
	}
}

// everything has a consumer do all that it can do.
func (o *operated) everything(js jetstream.JetStream, cfg Config, wire <-chan string) {
	t := o.t
	t.Helper()
	var seen []string
	o.runAs(js, cfg, func(ctx context.Context, ev *bridge.Event) error {
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
	require.Equal(t, "permanent", o.deadLetters("team", 1)[0].Headers().Get("hookspan-dead-cause"))
	require.NoError(t, js.Conn().Flush())
	require.Empty(t, o.violations)
}

// A letter that the stream knows already is no reason to look where a worker may not.
func TestBoundConsumerBuriesTwice(t *testing.T) {
	t.Parallel()
	o := setupOperated(t)
	cfg := Config{Name: "team", Start: Start{All: true}}
	wire := o.verdicts("team")
	_, err := o.JS.Publish(t.Context(), "hookspan.dead.other.x", nil, jetstream.WithMsgID("dead:team:"+natstest.Event("pred_1").ID+":0"))
	require.NoError(t, err)
	_, err = cfg.durable().Provision(t.Context(), o.JS)
	require.NoError(t, err)
	o.bind(cfg, func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) })
	o.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.Equal(t, natstest.Event("pred_1").Body, o.deadLetters("team", 1)[0].Data())
	require.Empty(t, o.violations)
}

// A consumer that does not know that it may not look waits for an answer for a while, and
// then makes the letter twice rather than never.
func TestConsumerThatMayNotLookBuriesTwice(t *testing.T) {
	t.Parallel()
	o := setupOperated(t)
	wire := o.verdicts("team")
	_, err := o.JS.Publish(t.Context(), "hookspan.dead.other.x", nil, jetstream.WithMsgID("dead:team:"+natstest.Event("pred_1").ID+":0"))
	require.NoError(t, err)
	o.runAs(o.as("blind"), Config{Name: "team", Start: Start{All: true}}, func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) })
	o.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.Equal(t, natstest.Event("pred_1").Body, o.deadLetters("team", 1)[0].Data())
}

// It says who must act, waits, and goes on by itself.
func TestBoundConsumerWaitsForItsDurable(t *testing.T) {
	t.Parallel()
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

	_, err = durable.Definition{Name: "team"}.Provision(ctx, o.JS)
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
