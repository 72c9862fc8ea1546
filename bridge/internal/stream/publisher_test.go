package stream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

func TestPublishStoresOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	b := streamtest.StartIn(t, dir, streamtest.Config())
	p := b.Publisher()
	e := natstest.Event("pred_1")

	receipt, err := p.Publish(ctx, e)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: "HOOKSPAN_EVENTS", Sequence: 1}, receipt)
	receipt, err = p.Publish(ctx, e)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: "HOOKSPAN_EVENTS", Sequence: 1}, receipt)

	st, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	msg, err := st.GetMsg(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", msg.Subject)
	require.Equal(t, e.Body, msg.Data)
	want := nats.Header(e.Header())
	want["Nats-Msg-Id"] = []string{e.MsgID()}
	for _, key := range []string{"Nats-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		delete(msg.Header, key) // of the direct get, not of the message
	}
	require.Equal(t, want, msg.Header)

	// A restart forgets neither the event nor its id.
	b.Stop()
	b = streamtest.StartIn(t, dir, streamtest.Config())
	receipt, err = b.Publisher().Publish(ctx, e)
	require.NoError(t, err)
	require.Equal(t, bridge.Duplicate, receipt.Result)
}

// Two ids that nats.go would make one, if a line break reached it.
func TestIDsThatDifferByALineBreakAreTwo(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	for _, id := range []string{"a\nb", "a b", "a\r\nb", "a%0Ab"} {
		receipt, err := p.Publish(context.Background(), natstest.Event(id))
		require.NoError(t, err)
		require.Equal(t, bridge.Stored, receipt.Result, "%q", id)
	}
}

// The acknowledgement of an unchecked stream proves nothing.
func TestPublishOnlyToAFitStream(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	p := stream.NewPublisher(b.JS, b.Names)
	defer p.Close()
	_, err := p.Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)
	p.SetFit(true)
	_, err = p.Publish(context.Background(), natstest.Event("pred_1"))
	require.NoError(t, err)
	p.SetFit(false)
	_, err = p.Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)
}

// Whatever the name of a model, its event has its own subject, which the filter for just this
// model matches.
func TestOddModels(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	for i, model := range []string{"", "*", ">", "..", "a//b", "a b", "a\x00b", "🙂", "a/b/c/d/e/f/g/h/i/j/k/l", strings.Repeat("m", 4096), "/", "a.b", "=2E"} {
		e := natstest.Event("pred")
		e.ID, e.Model = fmt.Sprint(i), model
		receipt, err := b.Publisher().Publish(ctx, e)
		require.NoError(t, err, "%.20q", model)
		require.EqualValues(t, i+1, receipt.Sequence)
		if model == "" || model == "*" {
			continue // as a filter, these are every model
		}
		subjects, _ := bridge.Filter{Model: model}.Subjects(b.Names)
		c, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{FilterSubjects: subjects})
		require.NoError(t, err)
		require.EqualValues(t, 1, c.CachedInfo().NumPending, "%.20q", model)
		msg, err := c.Next()
		require.NoError(t, err)
		got, err := bridge.DecodeEvent(bridge.Header(msg.Headers()), msg.Data())
		require.NoError(t, err)
		require.Equal(t, model, got.Model)
	}
}

func TestPublishToAFullStream(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 4 << 10
	b := streamtest.Start(t, cfg)
	p := b.Publisher()
	var err error
	for i := 0; err == nil && i < 100; i++ {
		_, err = p.Publish(context.Background(), natstest.Event("pred_"+strings.Repeat("x", i)))
	}
	require.ErrorIs(t, err, bridge.ErrFull)
}

func TestPublishTooLarge(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	e := natstest.Event("pred_1")
	e.Body = make([]byte, streams.MaxPayload)
	_, err := b.Publisher().Publish(context.Background(), e)
	require.ErrorIs(t, err, bridge.ErrTooLarge)
	e.Body = make([]byte, streams.MaxPayload-streams.HeaderRoom)
	e.Model = strings.Repeat("m", bridge.MaxModel)
	_, err = b.Publisher().Publish(context.Background(), e)
	require.NoError(t, err)
}

func TestPublishWithoutStream(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	require.NoError(t, b.JS.DeleteStream(context.Background(), "HOOKSPAN_EVENTS"))
	_, err := b.Publisher().Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)

	_, err = b.JS.CreateStream(context.Background(), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"hookspan.events.>"}})
	require.NoError(t, err)
	_, err = b.Publisher().Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)
	require.ErrorContains(t, err, "FOREIGN")
}

func TestPublishWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	nc, err := stream.Connect(stream.ExternalConfig{URL: "nats://127.0.0.1:1"}, "test", zap.NewNop())
	require.NoError(t, err, "a NATS that is away must not keep the ingress from starting")
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	p := stream.NewPublisher(js, bridge.Names{})
	defer p.Close()
	_, err = p.Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)

	b := streamtest.Start(t, streamtest.Config())
	disconnected := make(chan struct{})
	b.NC.SetDisconnectErrHandler(func(*nats.Conn, error) { close(disconnected) })
	b.Server.Close()
	<-disconnected
	_, err = b.Publisher().Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)
}

// A server that takes the message without an answer may have stored it.
func TestPublishWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	require.NoError(t, b.JS.DeleteStream(context.Background(), "HOOKSPAN_EVENTS"))
	for _, answer := range []string{"", "{}", "not json", `{"error":{"code":409,"err_code":10158}}`, `{"error":{"code":503,"err_code":10077,"description":"write: input/output error"}}`} {
		sub, err := b.NC.Subscribe("hookspan.events.>", func(m *nats.Msg) {
			if answer != "" {
				_ = m.Respond([]byte(answer))
			}
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		_, err = b.Publisher().Publish(ctx, natstest.Event("pred_1"))
		require.ErrorIs(t, err, bridge.ErrUnknown, answer)
		cancel()
		require.NoError(t, sub.Unsubscribe())
	}
}

func TestFailureAfterStoringIsRepaired(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	next := b.Publisher()
	p := &streamtest.FailingPublisher{Next: next, Answer: func(bridge.Receipt, error) (bridge.Receipt, error) {
		return bridge.Receipt{}, bridge.ErrUnknown
	}}
	_, err := p.Publish(context.Background(), natstest.Event("pred_1"))
	require.ErrorIs(t, err, bridge.ErrUnknown)
	receipt, err := next.Publish(context.Background(), natstest.Event("pred_1"))
	require.NoError(t, err)
	require.Equal(t, bridge.Duplicate, receipt.Result)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
}
