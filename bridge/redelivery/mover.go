// Package redelivery brings events back to one consumer: those that have waited for
// their next attempt.
package redelivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// durableName is that of the one durable on the stream of waiting events, which
	// all processes share.
	durableName = "mover"
	// block is how many due events are moved together.
	block = 128
	// moveTimeout bounds one block; moveLease is longer.
	moveTimeout = 10 * time.Second
	moveLease   = 30 * time.Second
	// pull is how long one request for due events waits at the server.
	pull = 5 * time.Second
	// firstRetry and lastRetry space the tries while the stream cannot be reached
	// or takes nothing.
	firstRetry, lastRetry = 250 * time.Millisecond, 10 * time.Second
)

// Storer makes a message durable. It is safe for concurrent use.
type Storer interface {
	// Store returns when the stream has m, or had it already, by its message id,
	// and only then without an error.
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// MoverConfig of a [Mover].
type MoverConfig struct {
	Names bridge.Names
	// BindOnly: somebody else makes the durable, see [ProvisionMover].
	BindOnly bool
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Mover moves events whose time has come to where their consumer reads them again.
// Any number of processes may run one.
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

// Run moves until ctx ends, and returns nil. Whatever it meets, it tries again.
func (m *Mover) Run(ctx context.Context) error {
	retry := firstRetry
	for ctx.Err() == nil {
		err := m.follow(ctx, func() { retry = firstRetry })
		if err == nil || ctx.Err() != nil {
			continue
		}
		m.cfg.Logger.Error("events that wait cannot be brought back, trying again", zap.Duration("in", retry), zap.Error(err))
		wait(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
	return nil
}

// follow moves what is due until something fails. It calls moved after each block.
func (m *Mover) follow(ctx context.Context, moved func()) error {
	durable, err := m.bind(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := m.moveBlock(ctx, durable); err != nil {
			return err
		}
		moved()
	}
	return nil
}

func (m *Mover) bind(ctx context.Context) (durable jetstream.Consumer, err error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	if m.cfg.BindOnly {
		durable, err = m.js.Consumer(ctx, m.cfg.Names.LaterStream(), durableName)
	} else {
		durable, err = ensureMover(ctx, m.js, m.cfg.Names)
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("%w: make it with hookspan provision", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the durable of due events: %w", err)
	}
	return durable, nil
}

// ProvisionMover makes the durable that all movers share what it is to be. A [Mover]
// does so by itself unless it only binds.
func ProvisionMover(ctx context.Context, js jetstream.JetStream, names bridge.Names) error {
	if _, err := ensureMover(ctx, js, names); err != nil {
		return fmt.Errorf("provisioning the durable of due events: %w", err)
	}
	return nil
}

func ensureMover(ctx context.Context, js jetstream.JetStream, names bridge.Names) (jetstream.Consumer, error) {
	return js.CreateOrUpdateConsumer(ctx, names.LaterStream(), jetstream.ConsumerConfig{
		Durable:       durableName,
		Description:   "Hookspan: brings events back to their consumers",
		FilterSubject: names.AllDue(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       moveLease,
		MaxAckPending: 8 * block,
		MaxDeliver:    -1,
	})
}

// moveBlock waits for due events and moves each at once: the store lets them share
// syncs. What could not be moved comes again.
func (m *Mover) moveBlock(ctx context.Context, durable jetstream.Consumer) error {
	fetching, cancel := context.WithTimeout(ctx, pull)
	defer cancel()
	batch, err := durable.Fetch(block, jetstream.FetchContext(fetching))
	if err != nil {
		return fmt.Errorf("fetching due events: %w", err)
	}
	// What has begun is finished when the program is told to stop.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), pull+moveTimeout)
	defer cancel()
	var moving sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for msg := range batch.Messages() {
		moving.Go(func() {
			if err := m.moveOne(work, msg); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	moving.Wait()
	if err := batch.Error(); err != nil && failed == nil && fetching.Err() == nil && !errors.Is(err, nats.ErrTimeout) {
		return fmt.Errorf("fetching due events: %w", err)
	}
	return failed
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

// again is the message that the consumer reads. It is made of what the server says
// that the schedule was: whoever may let events of one consumer wait cannot send
// them to another one.
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
	// The number tells this wait from any other one of the event, also after it was
	// handled and came again.
	header[bridge.HeaderMsgID] = []string{bridge.AgainID(consumer, event.ID, strconv.FormatUint(meta.Sequence.Stream, 10))}
	return &nats.Msg{Subject: subject, Header: nats.Header(header), Data: msg.Data()}, nil
}

// giveUp makes a dead letter of what is no event, or not for the consumer that it was
// sent to: a program that lets events wait wrote it.
func (m *Mover) giveUp(ctx context.Context, msg jetstream.Msg, cause error) error {
	consumer := m.cfg.Names.LaterConsumer(msg.Headers().Get(jetstream.SchedulerHeader))
	meta, err := msg.Metadata()
	if err != nil || consumer == "" {
		m.cfg.Logger.Error("something that waited for its time belongs to no consumer and is dropped", zap.String("subject", msg.Subject()), zap.Error(cause))
		return msg.TermWithReason("it belongs to no consumer")
	}
	letter := bridge.DeadLetter{
		Consumer: consumer, Cause: bridge.DeadUndecodable, Fault: bridge.FaultFailed, Error: cause.Error(), Subject: msg.Subject(),
	}
	header := letter.Header(bridge.Header(msg.Headers()))
	header[bridge.HeaderMsgID] = []string{letter.ID("due:" + strconv.FormatUint(meta.Sequence.Stream, 10))}
	dead := &nats.Msg{Subject: m.cfg.Names.Dead(consumer, msg.Subject()), Header: nats.Header(header), Data: msg.Data()}
	if _, err := m.store.Store(ctx, m.cfg.Names.DeadStream(), dead); err != nil {
		return errors.Join(fmt.Errorf("making a dead letter of a due message: %w", err), msg.NakWithDelay(firstRetry))
	}
	if err := msg.Ack(); err != nil {
		return fmt.Errorf("acknowledging a due message: %w", err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
