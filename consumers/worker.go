package consumers

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// bindTimeout bounds one try to reach the durable.
	bindTimeout = 10 * time.Second
	// maxSettle bounds what precedes and follows an attempt: reading and writing
	// its record, its dead letter.
	maxSettle = 10 * time.Second
	// pullExpiry is how long one request for an event waits at the server, and
	// pullHeartbeat how often the server says meanwhile that it still does. Twice
	// that is how long a vanished durable goes unnoticed.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 3 * time.Second
)

// bindRetry spaces the tries to reach the durable again.
var bindRetry = Retry{First: 250 * time.Millisecond, Max: 10 * time.Second}

// worker handles one event after the other until ctx ends; work is the context
// of the handlers. It returns an error that no further try can pass.
func (c *Consumer) worker(ctx, work context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		err := c.fetch(ctx, work, &failures)
		if fatal := c.fatal(err); fatal != nil {
			return fatal
		}
		if ctx.Err() == nil {
			failures++
			delay := bindRetry.backoff(failures)
			c.log.Error("cannot fetch events, trying again", zap.Error(err), zap.Duration("in", delay))
			pause(ctx, delay)
		}
	}
	return nil
}

// fatal is the part of err that no further try can pass, or nil.
func (c *Consumer) fatal(err error) error {
	switch {
	case c.js.Conn().IsClosed():
		return nats.ErrConnectionClosed
	case errors.Is(err, ErrUnusable):
		return err
	}
	return nil
}

// settleTimeout leaves a third of the lease when the last sign of life was given
// a third of it ago.
func (c *Consumer) settleTimeout() time.Duration { return min(maxSettle, c.cfg.Lease/3) }

// fetch binds to the durable and handles what it delivers until ctx ends or it
// cannot go on. It sets failures to zero once the durable is reached.
func (c *Consumer) fetch(ctx, work context.Context, failures *int) error {
	durable, bound, ledger, err := c.reach(ctx)
	if err != nil {
		return err
	}
	// One message at a time: Next asks for a message when it is called, so none
	// waits here, with its lease running, for a worker that is busy.
	messages, err := durable.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Drain)()
	*failures = 0
	for c.mayFetch(ctx) {
		msg, err := messages.Next()
		switch {
		case err == nil && ctx.Err() != nil:
			c.giveBack(msg) // it came while we stopped
		case err == nil:
			c.handle(work, bound, ledger, msg)
		default:
			// ErrNoHeartbeat too: a durable that is gone says nothing at all.
			return err
		}
	}
	return nil
}

func (c *Consumer) reach(ctx context.Context) (jetstream.Consumer, binding, *ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	durable, bound, err := c.bind(ctx)
	if err != nil {
		return nil, binding{}, nil, err
	}
	ledger, err := openLedger(ctx, c.js, c.names, c.cfg.Name, c.cfg.Retry.GiveUpAfter)
	return durable, bound, ledger, err
}

func (c *Consumer) giveBack(msg jetstream.Msg) {
	if err := msg.Nak(); err != nil {
		c.log.Warn("cannot give an event back, it comes again when its lease has run out", zap.Error(err))
	}
}

// mayFetch waits until another event may be handled, and is false when ctx has ended.
func (c *Consumer) mayFetch(ctx context.Context) bool {
	if c.gate != nil {
		c.gate.Wait(ctx)
	}
	if c.rate != nil {
		_ = c.rate.Wait(ctx) // it fails when ctx ends
	}
	return ctx.Err() == nil
}

// handle makes one attempt on one message and settles it.
func (c *Consumer) handle(work context.Context, bound binding, ledger *ledger, msg jetstream.Msg) {
	a := c.newAttempt(ledger, msg)
	ev, err := decode(msg)
	if err != nil {
		a.err = err
		a.finish(work, settle(outcome{err: err}, c.cfg.Retry, a.started))
		return
	}
	a.event = ev
	if c.rest && !a.isAgain && !c.cfg.Filter.Match(ev) {
		a.acknowledge()
		return
	}
	if a.begin(work, bound) == settled {
		return
	}
	a.run(work)
	a.finish(work, settle(a.outcome(), c.cfg.Retry, time.Now()))
}

// decode reads the event of a message. The error wraps bridge.ErrNotEvent.
func decode(msg jetstream.Msg) (*bridge.Event, error) {
	ev, err := bridge.DecodeEvent(bridge.Header(msg.Headers()), msg.Data())
	if err != nil {
		return nil, err
	}
	ev.Subject = msg.Subject()
	if meta, err := msg.Metadata(); err == nil {
		ev.Sequence = meta.Sequence.Stream
	}
	return ev, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
