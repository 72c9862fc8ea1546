package redelivery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

const userPatience = 20 * time.Second

type program struct {
	*streamtest.Bench
	t    *testing.T
	wire chan string // the acknowledgements sent to the server
	logs *observer.ObservedLogs
	log  *zap.Logger
}

func newProgram(t *testing.T) *program {
	t.Helper()
	embedded := streamtest.Config()
	embedded.Listen = "127.0.0.1:0"
	core, logs := observer.New(zap.DebugLevel)
	p := &program{Bench: streamtest.Start(t, embedded), t: t, wire: make(chan string, 100), logs: logs, log: zap.New(core)}
	_, err := p.NC.Subscribe("$JS.ACK.HOOKSPAN_EVENTS.team.>", func(m *nats.Msg) { p.wire <- string(m.Data) })
	require.NoError(t, err)
	return p
}

func (p *program) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	p.t.Cleanup(func() { cancel(); require.NoError(p.t, <-done) })
}

func (p *program) consume(js jetstream.JetStream, handle consumers.HandlerFunc) {
	p.t.Helper()
	c, err := consumers.New(js, handle, consumers.Config{Name: "team", Start: consumers.Start{All: true}, Logger: telemetry.Slog(p.log)})
	require.NoError(p.t, err)
	p.background(c.Run)
}

func (p *program) publish(id string) {
	p.t.Helper()
	_, err := p.Publisher().Publish(p.t.Context(), natstest.Event(id))
	require.NoError(p.t, err)
}

func (p *program) told(verdict string) {
	p.t.Helper()
	select {
	case got := <-p.wire:
		require.Equal(p.t, verdict, got)
	case <-time.After(userPatience):
		p.t.Fatalf("%s was never said", verdict)
	}
}

// A consumer works completely as user app of the embedded server; its waits go through the
// bridge.
func TestConsumerAsUserApp(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.background(redelivery.NewMover(p.JS, p.Publisher(), redelivery.MoverConfig{Names: p.Names, Logger: p.log}).Run)
	p.background(redelivery.NewWaiter(p.JS, redelivery.WaiterConfig{Names: p.Names}).Run)
	violations := make(chan error, 100)
	attempts, err := p.NC.SubscribeSync(p.Names.AttemptsTold("team"))
	require.NoError(t, err)
	password, err := datafolder.ReadSecret(p.Folder.Dir(), stream.AppUser)
	require.NoError(t, err)
	nc, err := nats.Connect(p.Server.URL(), nats.UserInfo(stream.AppUser, password),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	p.consume(js, func(_ context.Context, ev *bridge.Event) error {
		switch ev.PredictionID {
		case "dead":
			return consumers.Permanent(errors.New("no"))
		case "later":
			return consumers.RetryAfter(errors.New("not yet"), time.Hour)
		}
		return nil
	})
	p.publish("good")
	p.told("+ACK")
	p.publish("dead")
	p.told("+TERM permanent")
	require.EqualValues(t, 1, p.Messages(t, "HOOKSPAN_DEAD"))
	p.publish("later")
	p.told("+ACK")
	require.EqualValues(t, 1, p.Messages(t, "HOOKSPAN_LATER"))
	var verdicts []string
	for _, a := range attemptsIn(t, attempts, 3) {
		verdicts = append(verdicts, a.Verdict)
		require.NotZero(t, a.Took, "the waiter does not tell what package consumers tells")
	}
	require.Equal(t, []string{"done", "dead", "retry"}, verdicts)
	require.NoError(t, nc.Flush())
	require.Empty(t, violations)
}

// attemptsIn are the next n attempts that are told.
func attemptsIn(t *testing.T, told *nats.Subscription, n int) (out []bridge.Attempt) {
	t.Helper()
	for len(out) < n {
		m, err := told.NextMsg(userPatience)
		require.NoError(t, err)
		block, err := bridge.DecodeAttempts(m.Data)
		require.NoError(t, err)
		out = append(out, block...)
	}
	return out
}

// User app recognises its own dead letter: a message of another program under its id is not
// one, and the log says so.
func TestAppBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	event := natstest.Event("pred_1")
	// On the subject and with the body of the dead letter, but without its header.
	_, err := p.App().PublishMsg(t.Context(), &nats.Msg{
		Subject: p.Names.Dead("team", p.Names.SubjectOf(event)), Data: event.Body, Header: nats.Header{bridge.HeaderMsgID: {"dead:team:" + event.ID + ":0"}},
	})
	require.NoError(t, err)
	p.consume(p.App(), func(context.Context, *bridge.Event) error { return consumers.Permanent(errors.New("no")) })
	p.publish("pred_1")
	p.told("+TERM permanent")
	dead, err := p.JS.Stream(t.Context(), "HOOKSPAN_DEAD")
	require.NoError(t, err)
	second, err := dead.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, "permanent", second.Header.Get("hookspan-dead-cause"))
	said := p.logs.FilterMessageSnippet("was stored with the message id of another message").All()
	require.Len(t, said, 1)
	require.Contains(t, said[0].Message, "message 1 of stream HOOKSPAN_DEAD")

	// The same dead letter again, as after a crash, is a duplicate.
	require.NoError(t, p.JS.DeleteConsumer(t.Context(), "HOOKSPAN_EVENTS", "team"))
	p.told("+TERM permanent")
	require.EqualValues(t, 2, p.Messages(t, "HOOKSPAN_DEAD"))
}

// A program that may let events of one consumer wait cannot send any to another one.
func TestScheduleForAnotherConsumerIsADeadLetterOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.background(redelivery.NewMover(p.JS, p.Publisher(), redelivery.MoverConfig{Names: p.Names, Logger: p.log}).Run)
	ev := natstest.Event("pred_1")
	header := nats.Header(ev.Header())
	header[bridge.HeaderMsgID] = []string{ev.MsgID()}
	_, err := p.JS.PublishMsg(t.Context(), &nats.Msg{Subject: p.Names.Later("mine", "x", 1), Header: header, Data: ev.Body},
		jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget("hookspan.due.other.get3w.prediction.completed.a"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.Messages(t, "HOOKSPAN_DEAD") == 1 }, userPatience, time.Millisecond)
	dead, err := p.JS.Stream(t.Context(), "HOOKSPAN_DEAD")
	require.NoError(t, err)
	m, err := dead.GetLastMsgForSubject(t.Context(), p.Names.AllDead("mine"))
	require.NoError(t, err)
	deadLetter, err := bridge.DecodeDeadLetter(bridge.Header(m.Header))
	require.NoError(t, err)
	require.Equal(t, bridge.DeadUndecodable, deadLetter.Cause)
	require.Contains(t, deadLetter.Error, "not for that consumer")
	require.EqualValues(t, 0, p.Messages(t, "HOOKSPAN_EVENTS"))
}

// provisionRights are the permissions that docs/operations.md lists for hookspan provision.
var provisionRights = []string{
	"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.CREATE.>",
}

func TestProvisioningNeedsNoRightsButThose(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "provision", Password: "provision", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: provisionRights},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_provision.>"}},
			}},
		}
		o.NoAuthUser = "admin"
	})
	x.Start()
	all := x.MakeStreams()
	violations := make(chan error, 100)
	js := x.JetStream(nats.UserInfo("provision", "provision"), nats.CustomInboxPrefix("_INBOX_provision"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	for _, name := range []string{"HOOKSPAN_EVENTS", "HOOKSPAN_LATER"} {
		require.NoError(t, all.JS.DeleteStream(ctx, name))
	}
	require.NoError(t, stream.Provision(ctx, js, streams.Config{MaxBytes: 128 << 20}, zap.NewNop()))
	require.NoError(t, redelivery.Provision(ctx, js, all.Names))
	for range 2 {
		for _, lease := range []time.Duration{time.Minute, time.Hour} {
			change, err := durable.Definition{Name: "team", Lease: lease}.Provision(ctx, js)
			require.NoError(t, err)
			require.NotEqual(t, durable.Change{}, change)
		}
	}
	require.Empty(t, violations)
}
