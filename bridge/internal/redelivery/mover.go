// Package redelivery delivers events to one consumer again. A [Waiter] stores waiting events
// for other programs, and a [Mover] brings due ones back. A [Reaper] makes dead letters of
// events that other programs gave up. A [Redeliverer] redrives dead letters and replays stored
// events. Package durables manages the durables; package consumers does the retries of
// consumers in Go.
package redelivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// Storer makes a message durable. It is safe for concurrent use.
type Storer interface {
	// Store returns nil once the stream has m, or had it already by its message id.
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// MoverConfig of a [Mover] and of a [Reaper].
type MoverConfig struct {
	Names bridge.Names
	// BindOnly: another process makes the durable, see [Provision].
	BindOnly bool
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Mover moves due events to where their consumer reads them again. Any number of processes may
// run one.
type Mover struct {
	js    jetstream.JetStream
	store Storer
	cfg   MoverConfig
}

// NewMover returns a mover that is not running yet.
func NewMover(js jetstream.JetStream, store Storer, cfg MoverConfig) *Mover {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("mover")
	return &Mover{js: js, store: store, cfg: cfg}
}

// Run moves events until ctx ends, and returns nil. It retries after every error.
func (m *Mover) Run(ctx context.Context) error {
	f := follower{
		js: m.js, stream: m.cfg.Names.LaterStream(), durable: moverDurable(m.cfg.Names), bindOnly: m.cfg.BindOnly,
		each: m.moveOne, what: "due events", log: m.cfg.Logger,
	}
	return f.run(ctx)
}

func moverDurable(names bridge.Names) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       "mover",
		Description:   "Hookspan: brings events back to their consumers",
		FilterSubject: names.AllDue(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       moveLease,
		MaxAckPending: 8 * block,
		MaxDeliver:    -1,
	}
}

func (m *Mover) moveOne(ctx context.Context, msg jetstream.Msg) error {
	out, err := m.again(msg)
	if err != nil {
		return m.giveUp(ctx, msg, err)
	}
	if _, err := m.store.Store(ctx, m.cfg.Names.EventsStream(), out); err != nil {
		return errors.Join(fmt.Errorf("bringing an event back: %w", err), msg.NakWithDelay(firstRetry))
	}
	if err := msg.Ack(); err != nil {
		return fmt.Errorf("acknowledging a due event: %w", err)
	}
	return nil
}

// again returns the message for the consumer. The server itself names the schedule, so that a
// program that may let events of one consumer wait cannot send them to another one.
func (m *Mover) again(msg jetstream.Msg) (*nats.Msg, error) {
	consumer, subject := m.cfg.Names.ParseDue(msg.Subject())
	schedule := msg.Headers().Get(jetstream.SchedulerHeader)
	if consumer == "" || m.cfg.Names.LaterConsumer(schedule) != consumer {
		return nil, fmt.Errorf("it was scheduled by %q, which is not for that consumer", schedule)
	}
	header := bridge.Header(msg.Headers()).Republish()
	event, err := bridge.DecodeEvent(header, msg.Data())
	if err != nil {
		return nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	// The number tells this wait from any other of the event, also after the event was handled
	// and came again.
	header[bridge.HeaderMsgID] = []string{bridge.AgainID(consumer, event.ID, strconv.FormatUint(meta.Sequence.Stream, 10))}
	return &nats.Msg{Subject: subject, Header: nats.Header(header), Data: msg.Data()}, nil
}

// giveUp makes a dead letter of a message that is no event, or is for another consumer than its
// schedule: the program that scheduled it wrote it.
func (m *Mover) giveUp(ctx context.Context, msg jetstream.Msg, cause error) error {
	consumer := m.cfg.Names.LaterConsumer(msg.Headers().Get(jetstream.SchedulerHeader))
	meta, err := msg.Metadata()
	if err != nil || consumer == "" {
		m.cfg.Logger.Error("something that waited for its time belongs to no consumer and is dropped", zap.String("subject", msg.Subject()), zap.Error(cause))
		return msg.TermWithReason("it belongs to no consumer")
	}
	deadLetter := bridge.DeadLetter{
		Consumer: consumer, Cause: bridge.DeadUndecodable, Fault: bridge.FaultFailed, Error: cause.Error(), Subject: msg.Subject(),
	}
	header := deadLetter.Header(bridge.Header(msg.Headers()))
	header[bridge.HeaderMsgID] = []string{deadLetter.ID("due:" + strconv.FormatUint(meta.Sequence.Stream, 10))}
	dead := &nats.Msg{Subject: m.cfg.Names.Dead(consumer, msg.Subject()), Header: nats.Header(header), Data: msg.Data()}
	if _, err := m.store.Store(ctx, m.cfg.Names.DeadStream(), dead); err != nil {
		return errors.Join(fmt.Errorf("making a dead letter of a due message: %w", err), msg.NakWithDelay(firstRetry))
	}
	if err := msg.Ack(); err != nil {
		return fmt.Errorf("acknowledging a due message: %w", err)
	}
	return nil
}
