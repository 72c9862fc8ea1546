package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// quorumTime is the most time for the acknowledgement of a stream before the journal's
	// counts; with a short deadline it is quorumShare of the rest.
	quorumTime  = 1200 * time.Millisecond
	quorumShare = 0.4
)

// KeeperConfig of a [Keeper].
type KeeperConfig struct {
	Names bridge.Names
	// Quorum: an answer waits for the stream, see [Keeper.Store]. Otherwise for the journal.
	Quorum bool
	// Duplicates is how long the streams know a message id.
	Duplicates time.Duration
}

// Keeper makes messages durable in a journal, from which a forwarder moves them to their
// streams. It is safe for concurrent use.
//
// A message that NATS did not acknowledge may be stored there nevertheless: the forwarder sends
// it again under the same message id, and looks it up when the stream may have forgotten that.
type Keeper struct {
	cfg       KeeperConfig
	journal   *journal.Journal
	forwarder *Forwarder
	publisher *Publisher
	recent    recentIDs // events that are kept

	mu      sync.Mutex
	flights map[idHash]*flight
}

// flight is a message that is being kept.
type flight struct {
	kept  chan struct{} // closed once the journal has answered
	err   error         // of the journal
	acked chan struct{} // closed once the stream has answered
	// receipt is that of the stream, or empty for a message that was set aside.
	receipt bridge.Receipt
}

// NewKeeper returns a keeper in front of a forwarder, which must not have been started.
func NewKeeper(f *Forwarder, cfg KeeperConfig) *Keeper {
	k := &Keeper{cfg: cfg, journal: f.journal, forwarder: f, publisher: f.publisher, flights: map[idHash]*flight{}}
	k.recent.keep = cfg.Duplicates
	f.heard = k.heard
	f.awaited = cfg.Quorum
	f.publisher.forgotten = k.recent.forget
	return k
}

// Publish is [Keeper.Store] for an event.
func (k *Keeper) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return k.Store(ctx, k.cfg.Names.EventsStream(), eventMessage(k.cfg.Names, e))
}

// Store implements [Storer]. It returns once the journal has synced the message; with
// [KeeperConfig].Quorum once the stream has acknowledged it, or, where the stream does not
// within its share of ctx's time or while the forwarder is stuck, with the result
// [bridge.Spooled].
func (k *Keeper) Store(ctx context.Context, stream string, m *nats.Msg) (receipt bridge.Receipt, err error) {
	start := time.Now()
	defer func() { k.publisher.metrics.observe(stream, start, receipt, err) }()
	id := messageID(m)
	hash := hashID(stream, id)
	event := stream == k.cfg.Names.EventsStream() && !k.cfg.Names.IsAgain(m.Subject)
	own := &flight{kept: make(chan struct{}), acked: make(chan struct{})}
	k.mu.Lock()
	if first := k.flights[hash]; first != nil {
		k.mu.Unlock()
		return k.share(ctx, first)
	}
	// Behind the flights, and under the lock: a message that is still on its way is waited for,
	// and its flight ends when its id is known.
	if event && k.recent.knows(hash) {
		k.mu.Unlock()
		return bridge.Receipt{Result: bridge.Duplicate, Stream: stream}, nil
	}
	k.flights[hash] = own
	k.mu.Unlock()
	defer k.land(hash)
	own.err = k.appendInTime(ctx, stream, m)
	if own.err != nil && !errors.Is(own.err, bridge.ErrTooLarge) && !k.forwarder.Stuck() {
		receipt, own.err = k.directly(ctx, stream, m, own.err)
		k.answer(own, receipt)
		close(own.kept)
		if own.err == nil && event {
			k.recent.addID(stream, id)
		}
		return receipt, own.err
	}
	close(own.kept)
	switch {
	case own.err != nil:
		return bridge.Receipt{}, own.err
	case event:
		k.recent.addID(stream, id)
	}
	if !k.cfg.Quorum {
		return bridge.Receipt{Result: bridge.Stored, Stream: stream}, nil
	}
	return k.awaitStream(ctx, own), nil
}

// directly stores a message that the journal did not take in its stream, which may have room.
func (k *Keeper) directly(ctx context.Context, stream string, m *nats.Msg, refused error) (bridge.Receipt, error) {
	receipt, err := k.publisher.store(ctx, stream, m)
	if err != nil {
		return receipt, errors.Join(refused, err)
	}
	return receipt, nil
}

func (k *Keeper) land(hash idHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.flights, hash)
}

// share waits for the same message that another caller brought first.
func (k *Keeper) share(ctx context.Context, first *flight) (bridge.Receipt, error) {
	select {
	case <-first.kept:
	case <-ctx.Done():
		return bridge.Receipt{}, fmt.Errorf("waiting for the journal: %w: %w", bridge.ErrUnknown, ctx.Err())
	}
	if first.err != nil {
		return bridge.Receipt{}, first.err
	}
	receipt := bridge.Receipt{}
	if k.cfg.Quorum {
		receipt = k.awaitStream(ctx, first)
	}
	if receipt.Result != bridge.Spooled {
		receipt.Result = bridge.Duplicate
	}
	return receipt, nil
}

// appendInTime leaves half of the time for the stream: the disk of the journal may hang while a
// quorum elsewhere does not.
func (k *Keeper) appendInTime(ctx context.Context, stream string, m *nats.Msg) error {
	if deadline, ok := ctx.Deadline(); ok && k.cfg.Quorum {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return k.append(ctx, stream, m)
}

func (k *Keeper) append(ctx context.Context, stream string, m *nats.Msg) error {
	size := messageSize(m)
	if nc := k.publisher.js.Conn(); nc.IsConnected() && int64(size) > nc.MaxPayload() {
		return fmt.Errorf("keeping a message of %d bytes: %w: %w", size, bridge.ErrTooLarge, nats.ErrMaxPayload)
	}
	if stream != k.cfg.Names.EventsStream() && k.forwarder.full.has(ctx, stream, size) {
		return fmt.Errorf("keeping a message: %w: stream %s takes no more", bridge.ErrFull, stream)
	}
	return k.journal.Append(ctx, &journal.Record{Stream: stream, Subject: m.Subject, Header: m.Header, Body: m.Data})
}

// awaitStream returns the stream's receipt, or that of the journal when the stream gives none
// in time.
func (k *Keeper) awaitStream(ctx context.Context, own *flight) bridge.Receipt {
	wait := quorumTime
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Duration(quorumShare*float64(time.Until(deadline))))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-own.acked:
	case <-k.forwarder.stuckSignal():
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case <-own.acked:
		if own.receipt.Result != "" {
			return own.receipt
		}
	default:
	}
	return bridge.Receipt{Result: bridge.Spooled}
}

// heard is told what became of a record.
func (k *Keeper) heard(r *journal.Record, receipt bridge.Receipt, err error) {
	id := bridge.Header(r.Header).Get(bridge.HeaderMsgID)
	if err == nil {
		k.remember(r) // it may be of an earlier process
	}
	k.mu.Lock()
	own := k.flights[hashID(r.Stream, id)]
	k.mu.Unlock()
	if own != nil {
		k.answer(own, receipt)
	}
}

func (k *Keeper) answer(own *flight, receipt bridge.Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-own.acked: // a record of an earlier process has the same id
	default:
		own.receipt = receipt
		close(own.acked)
	}
}

// Remember learns the ids of the first events that an earlier process left in the journal.
func (k *Keeper) Remember(ctx context.Context) error {
	after, last := k.journal.Checkpoint().Settled, k.journal.State().Last
	for n := 0; after < last && n < recentSize; {
		records, through, err := k.journal.Next(ctx, after, batchMessages, batchBytes)
		if err != nil {
			return fmt.Errorf("learning the ids in the journal: %w", err)
		}
		for i := range records {
			k.remember(&records[i])
		}
		after, n = through, n+len(records)
	}
	return nil
}

func (k *Keeper) remember(r *journal.Record) {
	id := bridge.Header(r.Header).Get(bridge.HeaderMsgID)
	if r.Stream == k.cfg.Names.EventsStream() && !k.cfg.Names.IsAgain(r.Subject) {
		k.recent.addID(r.Stream, id)
	}
}

// Refill learns the ids of the last events in the stream, so that their repetitions are known
// after a restart too.
func (k *Keeper) Refill(ctx context.Context) error {
	name := k.cfg.Names.EventsStream()
	s, err := k.publisher.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("learning the last ids of stream %s: %w", name, err)
	}
	k.forwarder.learned(s.CachedInfo()) // so that another stream of that name is noticed
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	from := streamread.ReaderConfig{
		Stream: name, After: state.LastSeq - min(state.LastSeq, recentSize), HeadersOnly: true, Description: "Hookspan: the last ids",
	}
	err = readHeaders(ctx, k.publisher.js, from, state.LastSeq, func(id string, _ uint64) {
		if id != "" {
			k.recent.addID(name, id)
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("learning the last ids of stream %s: %w", name, err)
	}
	return nil
}
