// Package natstest has for tests what a bridge meets outside: a NATS server that stops and
// starts, one with the streams of a bridge, and a network that goes silent; and an event and
// a collector of alarms.
package natstest

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

// Streams is a NATS server with the streams of a bridge, but without a bridge.
type Streams struct {
	*External

	NC    *nats.Conn
	JS    jetstream.JetStream
	Names bridge.Names
}

// Start starts a server with small streams, and ends it with the test.
func Start(t testing.TB) *Streams {
	t.Helper()
	x := NewExternal(t, nil)
	x.Start()
	return x.MakeStreams()
}

// MakeStreams makes small streams on a running server.
func (x *External) MakeStreams(opts ...nats.Option) *Streams {
	x.t.Helper()
	s := &Streams{External: x, JS: x.JetStream(opts...)}
	s.NC = s.JS.Conn()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, cfg := range (streams.Config{MaxBytes: 64 << 20}).All() {
		_, err := s.JS.CreateStream(ctx, cfg)
		require.NoError(x.t, err)
	}
	return s
}

// Publish stores an event as the bridge does.
func (s *Streams) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	ack, err := s.JS.PublishMsg(ctx, &nats.Msg{Subject: s.Names.SubjectOf(e), Header: header, Data: e.Body})
	if err != nil {
		return bridge.Receipt{}, err
	}
	receipt := bridge.Receipt{Result: bridge.Stored, Stream: ack.Stream, Sequence: ack.Sequence}
	if ack.Duplicate {
		receipt.Result = bridge.Duplicate
	}
	return receipt, nil
}

// Messages returns how many messages a stream holds.
func (s *Streams) Messages(t testing.TB, name string) uint64 {
	t.Helper()
	stream, err := s.JS.Stream(context.Background(), name)
	require.NoError(t, err)
	return stream.CachedInfo().State.Msgs
}

// Move brings due events back to their consumers, as the bridge does, until ctx ends.
func (s *Streams) Move(ctx context.Context) error {
	due, err := s.JS.CreateOrUpdateConsumer(ctx, s.Names.LaterStream(), jetstream.ConsumerConfig{
		Durable: "mover", FilterSubject: s.Names.AllDue(), AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	it, err := due.Messages()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, it.Stop)()
	for {
		m, err := it.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		consumer, subject := s.Names.ParseDue(m.Subject())
		header := bridge.Header(m.Headers()).Republish()
		event, err := bridge.DecodeEvent(header, m.Data())
		if err != nil {
			return err
		}
		header[bridge.HeaderMsgID] = []string{bridge.AgainID(consumer, event.ID, nats.NewInbox())}
		if _, err := s.JS.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: nats.Header(header), Data: m.Data()}); err != nil {
			return err
		}
		if err := m.Ack(); err != nil {
			return err
		}
	}
}

// Event returns an event that a source could have made.
func Event(id string) *bridge.Event {
	body := []byte(`{"id":"` + id + `","model":"get3w/flux-dev","status":"completed","outputs":[]}`)
	return &bridge.Event{
		ID:           bridge.NewEventID(id, bridge.StatusCompleted, body),
		Source:       "get3w",
		Type:         "com.get3w.prediction.completed.v1",
		PredictionID: id,
		Model:        "get3w/flux-dev",
		Status:       bridge.StatusCompleted,
		RawStatus:    "completed",
		Origin:       bridge.OriginWebhook,
		Body:         body,
	}
}
