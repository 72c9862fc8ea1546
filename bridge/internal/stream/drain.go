package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

// headerStuckID is the message id of a message that is set aside in the spool.
const headerStuckID = "hookspan-stuck-id"

const (
	// blockMessages and blockBytes bound a block, which is read from the spool, stored, and
	// then purged at once.
	blockMessages = 1000
	blockBytes    = 8 << 20
	// readAhead bounds the memory of the spool's reader, in bytes.
	readAhead = 16 << 20

	// gather is how long a block waits for more messages than the spool already has.
	gather = 2 * time.Millisecond

	drainTimeout = 10 * time.Second // of one block
	firstRetry   = 250 * time.Millisecond
	purgeTimeout = 10 * time.Second
)

// Drainer moves the messages of a spool to their streams, in order, block by block, and purges
// each block as far as it is acknowledged. It needs no durable state of its own: the spool
// holds exactly what is still to be moved, and the target recognises a block repeated after a
// crash by its message ids.
//
// A message that cannot be stored, because the NATS server rejects its size or because a stream
// other than that of events is full, would block all others. The drainer moves it to the end of
// the spool, under a subject of its own, and raises an alarm; if the spool is full, the message
// stays in its place. The next process tries it again.
type Drainer struct {
	spool  *Spool
	target BlockStorer
	alarms bridge.Alarmer
	log    *zap.Logger
	// said is called with each outcome: nil when NATS took messages.
	said func(error)

	// Fields below belong to the draining goroutine.

	// retried is the last sequence at which a message that is set aside is from an earlier
	// process.
	retried uint64
	// unpurged are settled messages that the spool failed to remove. They must not be stored
	// again later, when their ids may be forgotten.
	unpurged []*spooled

	// left is how many messages stay in their place, before the next one to read.
	left atomic.Uint64

	drained atomic.Uint64
	pending atomic.Bool
}

// NewDrainer returns a drainer of the spool to the target.
func NewDrainer(spool *Spool, target BlockStorer, alarms bridge.Alarmer, log *zap.Logger) *Drainer {
	return &Drainer{spool: spool, target: target, alarms: alarms, log: log.Named("spool"), said: func(error) {}}
}

// Drained returns how many messages were moved so far.
func (d *Drainer) Drained() uint64 { return d.drained.Load() }

// Pending reports whether a block is being retried.
func (d *Drainer) Pending() bool { return d.pending.Load() }

// Run drains the spool, and what comes into it, until ctx ends. Run and [Drainer.Empty] must
// not run at the same time.
func (d *Drainer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := d.follow(ctx, false); err != nil && ctx.Err() == nil {
			d.log.Error("the spool cannot be read, trying again", zap.Error(err))
			backoff.Sleep(ctx, probeEvery)
		}
	}
	return nil
}

// Empty drains the spool, and returns when it holds nothing that NATS takes, or with an error
// when ctx ends before.
func (d *Drainer) Empty(ctx context.Context) error {
	if err := d.follow(ctx, true); err != nil {
		return fmt.Errorf("draining the spool: %w", err)
	}
	return nil
}

type spooled struct {
	seq     uint64
	msg     *nats.Msg
	stream  string
	settled bool // stored, set aside, or to stay
	stays   bool // in its place
}

// follow reads the spool from its first message. With once it returns when it has moved
// everything that was there.
func (d *Drainer) follow(ctx context.Context, once bool) error {
	if err := d.purge(ctx, d.unpurged); err != nil {
		return err
	}
	d.left.Store(0)
	state, err := d.spool.State(ctx)
	if err != nil || once && state.Messages == 0 {
		return err
	}
	if d.retried == 0 {
		d.retried = state.last
	}
	consumer, err := d.spool.js.OrderedConsumer(ctx, d.spool.names.SpoolStream(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	it, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(blockMessages, readAhead))
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer it.Stop()
	for {
		block, last, err := d.next(ctx, it)
		if err != nil {
			return err
		}
		if err := d.store(ctx, block); err != nil {
			return err
		}
		if once && last {
			return nil
		}
	}
}

// next waits for a message and adds the available ones behind it. The block is empty when all
// of them stay; last says that none is behind it.
func (d *Drainer) next(ctx context.Context, it jetstream.MessagesContext) (block []*spooled, last bool, err error) {
	bytes := 0
	for {
		waiting := jetstream.NextContext(ctx)
		if last {
			// NumPending of the message does not count messages spooled since its delivery.
			waiting = jetstream.NextMaxWait(gather)
		}
		m, err := it.Next(waiting)
		if last && errors.Is(err, nats.ErrTimeout) {
			return block, last, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading the spool: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, false, fmt.Errorf("reading the spool: %w", err)
		}
		if !d.spool.names.IsStuck(m.Subject()) || meta.Sequence.Stream <= d.retried {
			block = append(block, d.prepare(m, meta))
			bytes += len(m.Data())
		}
		last = meta.NumPending == 0
		if len(block) >= blockMessages || bytes >= blockBytes {
			return block, last, nil
		}
	}
}

// prepare restores the original message, and adds how long it was spooled.
func (d *Drainer) prepare(m jetstream.Msg, meta *jetstream.MsgMetadata) *spooled {
	header := bridge.Header(m.Headers()).Republish()
	header[bridge.HeaderMsgID] = m.Headers()[bridge.HeaderMsgID]
	if id, ok := header[headerStuckID]; ok {
		header[bridge.HeaderMsgID] = id
		delete(header, headerStuckID)
	}
	header.Set(headerSpooledFor, time.Since(meta.Timestamp).Round(time.Millisecond).String())
	subject := d.spool.names.Unspool(m.Subject())
	return &spooled{
		seq:    meta.Sequence.Stream,
		msg:    &nats.Msg{Subject: subject, Header: nats.Header(header), Data: m.Data()},
		stream: d.spool.names.StreamOf(subject),
	}
}

// store returns when every message of the block is stored or set aside, and has left the spool,
// or with an error when ctx ends before or the spool fails. Stored messages leave the spool
// before the rest is retried: NATS may be away until their ids are forgotten.
func (d *Drainer) store(ctx context.Context, block []*spooled) error {
	defer d.pending.Store(false)
	pause := firstRetry
	for len(block) > 0 {
		failed := d.storeOnce(ctx, block)
		if done := settledFirst(block); done > 0 {
			if err := d.purge(ctx, block[:done]); err != nil {
				return err
			}
			block, pause = block[done:], firstRetry
		}
		if failed == nil {
			continue
		}
		if d.pending.CompareAndSwap(false, true) {
			level := zap.WarnLevel
			if errors.Is(failed, errNotFit) {
				level = zap.InfoLevel // as at every start; provisioning reports the problem
			}
			d.log.Log(level, "not all that is in the spool can be moved to NATS, trying again", zap.Error(failed))
		}
		if !backoff.Sleep(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, probeEvery)
	}
	return nil
}

// storeOnce tries the rest of the block, in order.
func (d *Drainer) storeOnce(ctx context.Context, block []*spooled) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for rest := unsettled(block); len(rest) > 0; rest = unsettled(block) {
		run := sameStream(rest)
		msgs := make([]*nats.Msg, len(run))
		for i, s := range run {
			msgs[i] = s.msg
		}
		var failed, aside error
		answered := false
		for i, outcome := range d.target.StoreAll(ctx, run[0].stream, msgs) {
			err := outcome.Err
			switch {
			case err == nil:
				run[i].settled, answered = true, true
				d.drained.Add(1)
			case errors.Is(err, bridge.ErrTooLarge), errors.Is(err, bridge.ErrFull) && run[0].stream != d.spool.names.EventsStream():
				answered = true
				aside = errors.Join(aside, d.setAside(ctx, run[i], err))
			case failed == nil:
				failed = err
			}
		}
		// NATS that took a part of the block in time is slow, not away; errors of the spool say
		// nothing about NATS.
		if answered {
			d.said(nil)
		} else {
			d.said(failed)
		}
		if err := errors.Join(failed, aside); err != nil {
			return err
		}
	}
	return nil
}

// setAside moves a message that NATS does not take to the end of the spool. The copy has no
// message id: if the spool treated it as a duplicate it would be lost. A crash here may leave
// two copies.
func (d *Drainer) setAside(ctx context.Context, s *spooled, cause error) error {
	header := maps.Clone(s.msg.Header)
	id := header.Get(bridge.HeaderMsgID)
	delete(header, bridge.HeaderMsgID)
	header[headerStuckID] = []string{id}
	subject := d.spool.names.Stuck(s.msg.Subject)
	_, err := d.spool.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: s.msg.Data}, jetstream.WithRetryAttempts(0))
	switch {
	case err == nil:
	case errors.Is(classify(err), bridge.ErrFull), errors.Is(classify(err), bridge.ErrTooLarge):
		s.stays = true
		d.left.Add(1)
	default:
		return fmt.Errorf("setting a spooled message aside: %w", err)
	}
	s.settled = true
	text := "NATS will never take this spooled message: raise max_payload of the NATS server, or take it out with hookspan spool export"
	if errors.Is(cause, bridge.ErrFull) {
		text = "the stream " + s.stream + " is full and does not take this spooled message: make room there and restart, or take it out with hookspan spool export"
	}
	d.alarms.Raise(bridge.Alarm{
		Kind:    bridge.AlarmSpoolStuck,
		Subject: id,
		Text:    text,
		Details: map[string]any{"message": id, "subject": s.msg.Subject, "bytes": len(s.msg.Data), "cause": cause.Error()},
	})
	return nil
}

func settledFirst(block []*spooled) int {
	for i, s := range block {
		if !s.settled {
			return i
		}
	}
	return len(block)
}

func unsettled(block []*spooled) []*spooled {
	var out []*spooled
	for _, s := range block {
		if !s.settled {
			out = append(out, s)
		}
	}
	return out
}

// sameStream is the beginning of the block that goes to one stream.
func sameStream(block []*spooled) []*spooled {
	for i, s := range block {
		if s.stream != block[0].stream {
			return block[:i]
		}
	}
	return block
}

// purge removes the settled block from the beginning of the spool. Behind a message that stays
// it removes message by message, which is slower.
func (d *Drainer) purge(ctx context.Context, block []*spooled) error {
	d.unpurged = block
	if len(block) == 0 {
		return nil
	}
	// A stored message must not stay in the spool because time ran out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), purgeTimeout)
	defer cancel()
	state, err := d.spool.State(ctx)
	if err != nil {
		return err
	}
	stream, err := d.spool.open(ctx)
	if err != nil {
		return err
	}
	if state.Stuck == 0 && d.left.Load() == 0 {
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(block[len(block)-1].seq+1)); err != nil {
			return fmt.Errorf("purging the spool: %w", err)
		}
		d.unpurged = nil
		return nil
	}
	for _, s := range block {
		if s.stays {
			continue
		}
		if err := stream.DeleteMsg(ctx, s.seq); err != nil {
			// The error is the same for a message that is gone and one that stays.
			if _, got := stream.GetMsg(ctx, s.seq); !errors.Is(got, jetstream.ErrMsgNotFound) {
				return fmt.Errorf("removing a message from the spool: %w", err)
			}
		}
	}
	d.unpurged = nil
	return nil
}
