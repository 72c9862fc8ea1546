package consumers

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestPermanentIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		Note(ctx, "looked at it")
		return Permanent(errors.New("no such order\n\"7\""))
	}, Config{})
	b.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))

	e := natstest.Event("pred_1")
	m := b.deadLetters("team", 1)[0]
	require.Equal(t, "hookspan.dead.team.get3w.prediction.completed.get3w.flux-dev", m.Subject())
	require.Equal(t, e.Body, m.Data())
	h := bridge.Header(m.Headers())
	require.Equal(t, "dead:team:"+e.ID+":0", h.Get("Nats-Msg-Id"))
	require.Equal(t, "permanent", h.Get("hookspan-dead-cause"))
	require.Equal(t, "1", h.Get("hookspan-dead-attempts"))
	require.Equal(t, "1", h.Get("hookspan-dead-seq"))
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", h.Get("hookspan-dead-subject"))
	text, err := h.Value("hookspan-dead-error")
	require.NoError(t, err)
	require.Equal(t, "no such order\n\"7\"", text)
	text, err = h.Value("hookspan-dead-history")
	require.NoError(t, err)
	require.Contains(t, text, "looked at it")
	got, err := bridge.DecodeEvent(h, m.Data())
	require.NoError(t, err)
	require.Equal(t, e.ID, got.ID)
}

// An event that was stored in a batch is an event like any other: its dead letter is
// not taken for a part of that batch.
func TestDeadLetterIsNoPartOfABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e := natstest.Event("pred_1")
	header := nats.Header(e.Header())
	header["Nats-Msg-Id"] = []string{e.MsgID()}
	header["Nats-Batch-Id"] = []string{"batch"}
	header["Nats-Batch-Sequence"] = []string{"1"}
	header["Nats-Batch-Commit"] = []string{"1"}
	answer, err := b.NC.RequestMsgWithContext(ctx, &nats.Msg{Subject: b.Names.Event(e.Source, e.Status, e.Model), Header: header, Data: e.Body})
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"count":1`)

	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	require.Equal(t, "+TERM permanent", next(t, wire))
	dead := b.deadLetters("team", 1)[0]
	require.Equal(t, e.Body, dead.Data())
	for key := range dead.Headers() {
		require.NotContains(t, key, "Nats-Batch")
	}
}

func TestUndecodableIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	for _, body := range []string{"one", "two"} {
		_, err := b.JS.Publish(context.Background(), "hookspan.events.get3w.prediction.completed.x", []byte(body))
		require.NoError(t, err)
	}
	b.run(func(context.Context, *bridge.Event) error {
		t.Error("the handler is called with no event")
		return nil
	}, Config{})
	for range 2 {
		require.Equal(t, "+TERM undecodable", next(t, wire))
	}
	for i, m := range b.deadLetters("team", 2) {
		require.Equal(t, []string{"one", "two"}[i], string(m.Data()))
		require.Contains(t, m.Headers().Get("hookspan-dead-error"), "ce-id")
	}
}

// A dead letter that cannot be stored must not end the event.
func TestWithoutDeadLetterTheEventStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	dead, err := b.JS.Stream(ctx, "HOOKSPAN_DEAD")
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_DEAD"))
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{Retry: fast})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
	_, err = b.JS.CreateStream(ctx, dead.CachedInfo().Config)
	require.NoError(t, err)
	for text := ""; text != "+TERM permanent"; text = next(t, wire) {
		require.NotContains(t, text, "+ACK")
	}
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_DEAD"))
}

// The stream may know the id of a dead letter that it does not have: another program may have
// used the id, or removed the dead letter.
func TestDeadLetterIsThereWhateverTheStreamSays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, prepare := range map[string]func(b *bench, id string){
		"used by another": func(b *bench, id string) {
			_, err := b.JS.Publish(ctx, "hookspan.dead.other.x", nil, jetstream.WithMsgID(id))
			require.NoError(t, err)
		},
		"removed": func(b *bench, id string) {
			_, err := b.JS.Publish(ctx, "hookspan.dead.team.x", nil, jetstream.WithMsgID(id))
			require.NoError(t, err)
			st, err := b.JS.Stream(ctx, "HOOKSPAN_DEAD")
			require.NoError(t, err)
			require.NoError(t, st.Purge(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			prepare(b, "dead:team:"+natstest.Event("pred_1").ID+":0")
			wire := b.verdicts("team")
			b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
			b.publish("pred_1")
			require.Equal(t, "+TERM permanent", next(t, wire))
			require.Equal(t, natstest.Event("pred_1").Body, b.deadLetters("team", 1)[0].Data())
		})
	}
}

// A crash between the dead letter and the end of the delivery buries it again.
func TestBuriedTwiceIsOneDeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	stop := b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	b.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.NoError(t, stop())
	require.NoError(t, b.JS.DeleteConsumer(context.Background(), "HOOKSPAN_EVENTS", "team"))
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_DEAD"))
}
