package consumertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// patience bounds every wait. It is generous, since only a failing test waits so long.
const patience = 30 * time.Second

// Server is a NATS server with the streams of a bridge, in this process and out of reach for
// others. Its methods end the test when they fail; call them from the goroutine of the test
// only.
type Server struct {
	NC *nats.Conn
	JS jetstream.JetStream

	t     testing.TB
	names bridge.Names
	nats  *natstest.Streams
	acks  *acks
	// stored has the stream sequence of each published event, by message id.
	stored map[string]uint64
}

// Start starts a server on a folder of its own, and ends it with the test. The
// streams have the names and the settings of a bridge, and room for 64 MiB of events.
func Start(t testing.TB) *Server {
	t.Helper()
	b := natstest.Start(t)
	s := &Server{NC: b.NC, JS: b.JS, t: t, names: b.Names, nats: b, acks: newAcks(), stored: make(map[string]uint64)}
	_, err := b.NC.Subscribe("$JS.ACK."+b.Names.EventsStream()+".>", s.acks.take)
	require.NoError(t, err)
	require.NoError(t, b.NC.Flush())
	return s
}

// Publish stores the event, as a bridge does before it answers a webhook with 200, and returns
// [bridge.Stored], or [bridge.Duplicate] when an event with this id is stored already.
func (s *Server) Publish(ev *bridge.Event) bridge.Receipt {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	receipt, err := s.nats.Publish(ctx, ev)
	require.NoError(s.t, err)
	s.stored[ev.MsgID()] = receipt.Sequence
	return receipt
}

// Run runs a consumer until the test ends or stop is called, which returns the error of
// [consumers.Consumer.Run]. Without Config.Start the consumer begins with the first event.
// Without Config.Retry failed events come again after 10 to 100 ms.
func (s *Server) Run(handler consumers.Handler, cfg consumers.Config) (stop func() error) {
	s.t.Helper()
	if cfg.Start == (consumers.Start{}) {
		cfg.Start.All = true
	}
	if cfg.Retry == (consumers.Retry{}) {
		cfg.Retry = consumers.Retry{First: 20 * time.Millisecond, Max: 100 * time.Millisecond}
	}
	c, err := consumers.New(s.JS, handler, cfg)
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	s.t.Cleanup(func() { _ = stop() })
	return stop
}

// Wait waits until the consumer is done with the event, which [Server.Publish] has stored, and
// returns how:
//
//   - [consumers.ActionDone]: the event was acknowledged, also when the consumer's durable
//     delivers it and its filter does not match.
//   - [consumers.ActionDead]: the event became a dead letter, see [Server.DeadLetters].
//   - [consumers.ActionRetry]: the event waits for its next attempt for longer than
//     [consumers.ShortRetryDelay]. A bridge would bring it back, this server does not.
//
// Wait goes on while an event comes again earlier. Wait fails the test after 30 s.
func (s *Server) Wait(consumer string, ev *bridge.Event) consumers.Action {
	s.t.Helper()
	sequence, ok := s.stored[ev.MsgID()]
	require.True(s.t, ok, "event %s was not published, so nothing can become of it", ev.ID)
	verdict, ok := s.acks.wait(place{consumer, sequence}, patience)
	require.True(s.t, ok, "consumer %s has not settled event %s within %v: does its filter match, and is it running?", consumer, ev.ID, patience)
	if verdict == verdictTerm {
		return consumers.ActionDead
	}
	if s.waits(consumer, ev) {
		return consumers.ActionRetry
	}
	return consumers.ActionDone
}

func (s *Server) waits(consumer string, ev *bridge.Event) bool {
	s.t.Helper()
	found := false
	s.each(s.names.LaterStream(), ">", func(m *jetstream.RawStreamMsg) {
		other, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
		require.NoError(s.t, err)
		found = found || s.names.LaterConsumer(m.Subject) == consumer && other.MsgID() == ev.MsgID()
	})
	return found
}

// DeadLetter is an event that a consumer gave up on, and why.
type DeadLetter struct {
	bridge.DeadLetter
	// Event is nil when the message was not an event.
	Event *bridge.Event
}

// DeadLetters returns the dead letters of the consumer, the oldest first.
func (s *Server) DeadLetters(consumer string) []DeadLetter {
	s.t.Helper()
	var out []DeadLetter
	s.each(s.names.DeadStream(), s.names.AllDead(consumer), func(m *jetstream.RawStreamMsg) {
		dead, err := bridge.DecodeDeadLetter(bridge.Header(m.Header))
		require.NoError(s.t, err)
		ev, _ := bridge.DecodeEvent(bridge.Header(m.Header), m.Data) // nil then
		out = append(out, DeadLetter{*dead, ev})
	})
	return out
}

func (s *Server) each(stream, subject string, do func(*jetstream.RawStreamMsg)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	from, err := s.JS.Stream(ctx, stream)
	require.NoError(s.t, err)
	for seq := uint64(1); ; seq++ {
		m, err := from.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return
		}
		require.NoError(s.t, err)
		do(m)
		seq = m.Sequence
	}
}
