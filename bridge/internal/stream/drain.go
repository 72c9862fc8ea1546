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

// headerStuckID is the message id of what is set aside in the spool.
const headerStuckID = "hookspan-stuck-id"

const (
	// blockMessages and blockBytes bound what is taken out of the spool, stored,
	// and then purged at once.
	blockMessages = 1000
	blockBytes    = 8 << 20
	// readAhead bounds what the reader of the spool holds in memory, in bytes.
	readAhead = 16 << 20

	// gather is how long a block waits for the next message once it has what
	// there was.
	gather = 2 * time.Millisecond

	drainTimeout = 10 * time.Second // of one block
	firstRetry   = 250 * time.Millisecond
	purgeTimeout = 10 * time.Second
)

// Drainer moves what lies in a spool to where it was on its way to, in order:
// block by block, each purged as far as it is acknowledged. It needs no memory
// that outlives the process, since what is in the spool is what is still to be
// done; a block that is repeated after a crash is known by its message ids.
//
// A message that cannot be stored, because the NATS server takes none of its size
// or because a stream other than that of events is full, would hold up all others.
// It is moved to the end of the spool, under a subject of its own, with an alarm;
// where a full spool has no room for that it stays in its place. It is tried again
// by the next process.
type Drainer struct {
	spool  *Spool
	target BlockStorer
	alarms bridge.Alarmer
	log    *zap.Logger
	// said is told whether NATS takes messages, as often as that is seen.
	said func(error)

	// What follows belongs to the one goroutine that drains.

	// retried is the last sequence at which a message that is set aside is from
	// an earlier process.
	retried uint64
	// unpurged is settled and still in the spool, which did not answer. It must
	// not be stored again later, when its ids may be forgotten.
	unpurged []*spooled

	// left is how many messages stay in their place, in front of what is read.
	left atomic.Uint64

	drained atomic.Uint64
	pending atomic.Bool
}

// NewDrainer returns a drainer of the spool to the target.
func NewDrainer(spool *Spool, target BlockStorer, alarms bridge.Alarmer, log *zap.Logger) *Drainer {
	return &Drainer{spool: spool, target: target, alarms: alarms, log: log.Named("spool"), said: func(error) {}}
}

// Drained is how many messages were moved so far.
func (d *Drainer) Drained() uint64 { return d.drained.Load() }

// Pending reports whether a block could not be stored yet and is tried again.
func (d *Drainer) Pending() bool { return d.pending.Load() }

// Run drains the spool, and whatever comes into it, until ctx ends. Of Run and
// [Drainer.Empty] only one may run at a time.
func (d *Drainer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := d.follow(ctx, false); err != nil && ctx.Err() == nil {
			d.log.Error("the spool cannot be read, trying again", zap.Error(err))
			backoff.Sleep(ctx, probeEvery)
		}
	}
	return nil
}

// Empty drains the spool and returns when nothing is left in it that NATS takes,
// or with an error when ctx ends before.
func (d *Drainer) Empty(ctx context.Context) error {
	if err := d.follow(ctx, true); err != nil {
		return fmt.Errorf("draining the spool: %w", err)
	}
	return nil
}

// spooled is one message on its way out.
type spooled struct {
	seq     uint64
	msg     *nats.Msg
	stream  string
	settled bool // stored, set aside, or to stay
	stays   bool // in its place
}

// follow reads the spool from its first message. With once it returns when it
// has moved everything that was there.
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

// next waits for a message and takes those behind it that are there already. The
// block is empty when all of them are to stay; last says that none is behind it.
func (d *Drainer) next(ctx context.Context, it jetstream.MessagesContext) (block []*spooled, last bool, err error) {
	bytes := 0
	for {
		waiting := jetstream.NextContext(ctx)
		if last {
			// What was spooled since is not counted in what the message before
			// said of those behind it.
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

// prepare makes the message what it was before it came into the spool, and says
// how long it lay there.
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

// store returns when every message of the block is stored or set aside, and has
// left the spool; with an error when ctx ends before, or the spool fails. What is
// stored leaves the spool before the rest is tried again: NATS may be away until
// its id is forgotten.
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
				level = zap.InfoLevel // as at every start; whoever provisions says what is wrong
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

// storeOnce tries what is left of the block, in order.
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
		// A NATS that took a part of them in the time is slow, and not away; and
		// what goes wrong in the spool says nothing of it.
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

// setAside moves a message that NATS does not take to the end of the spool.
// The copy has no message id: one that the spool took for a duplicate would be
// lost. A crash here may leave two copies.
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

// settledFirst is how many messages at the beginning of the block are settled.
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

// purge removes the block, which is settled and was the beginning of what is to
// be moved. Once there is something in front of it that stays, that is done
// message by message, which is slower.
func (d *Drainer) purge(ctx context.Context, block []*spooled) error {
	d.unpurged = block
	if len(block) == 0 {
		return nil
	}
	// What is stored must not stay in the spool for want of time.
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
			// Its error is the same for one that is gone and one that stays.
			if _, got := stream.GetMsg(ctx, s.seq); !errors.Is(got, jetstream.ErrMsgNotFound) {
				return fmt.Errorf("removing a message from the spool: %w", err)
			}
		}
	}
	d.unpurged = nil
	return nil
}
