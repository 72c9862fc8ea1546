package consumers

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// maxSettle bounds the calls before and after an attempt, for its record and its dead letter.
const maxSettle = 10 * time.Second

// worker handles one event after the other until ctx ends; work is the handlers' context.
func (c *Consumer) worker(ctx, work context.Context, from *fetcher) {
	for c.mayFetch(ctx) {
		from.idle <- struct{}{} // never blocks: idle has room for every worker
		d, ok := <-from.events
		if !ok {
			return
		}
		c.handle(work, d)
	}
}

// settleTimeout leaves a third of the lease when the lease was last extended a third of it ago.
func (c *Consumer) settleTimeout() time.Duration { return min(maxSettle, c.cfg.Lease/3) }

// mayFetch waits until another event may be handled. It returns false when ctx has ended.
func (c *Consumer) mayFetch(ctx context.Context) bool {
	if c.gate != nil {
		c.reports.enterGate()
		c.gate.Wait(ctx)
		c.reports.leaveGate()
	}
	if c.rate != nil {
		_ = c.rate.Wait(ctx) // it fails when ctx ends
	}
	return ctx.Err() == nil
}

func (c *Consumer) handle(work context.Context, d delivery) {
	a := c.newAttempt(d.records, d.msg)
	ev, err := decode(d.msg)
	if err != nil {
		a.err = err
		a.finish(work, settle(outcome{err: err}, c.cfg.Retry, a.started))
		return
	}
	a.event = ev
	if c.rest && !a.isAgain && !c.cfg.Filter.Match(ev) {
		a.acknowledge()
		c.teller.tell(a.about(bridge.VerdictSkipped, time.Since(a.started)))
		return
	}
	if a.begin(work, d.bound) == settled {
		return
	}
	a.run(work)
	verdict := settle(a.outcome(), c.cfg.Retry, time.Now())
	a.finish(work, verdict)
	c.reports.attempted(verdict.Action, a.started, a.err)
	c.metrics.attempts.WithLabelValues(verdict.Action.String()).Inc()
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
