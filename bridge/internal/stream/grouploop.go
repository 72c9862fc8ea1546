package stream

import (
	"context"
	"slices"
	"time"

	"github.com/hookspan/hookspan/internal/natserr"
)

// loop commits batches, one at a time: the server would only make a second one wait. While one
// is in flight it sends the messages of the next one ahead, without the commit.
func (c *committer) loop() {
	for {
		select {
		case <-c.wake:
		case b := <-c.landed:
			c.settle(b)
		case <-c.ctx.Done():
			c.end()
			return
		}
		c.step()
	}
}

func (c *committer) step() {
	c.mu.Lock()
	able, few := c.able.Load(), c.cost.breakEven()
	batching := c.open != nil || able && len(c.queue) >= few
	trial := able && c.open == nil && c.singles == 0 && c.cost.wantsTrial()
	switch {
	case c.flying == nil && (!batching || trial) && c.coalesces():
	case batching && trial && c.flying != nil:
	case batching && trial:
		c.take(c.cost.due(len(c.queue)))
		c.open.trial = true
	case batching:
		c.take(c.cfg.maxBatch)
	case c.flying == nil && !able:
		c.releaseAlone(len(c.queue))
	case c.flying == nil:
		c.releaseAlone(few - c.singles)
	}
	open, idle := c.open, c.flying == nil && (c.open != nil && c.open.trial || !c.coalesces())
	c.mu.Unlock()
	switch {
	case open == nil:
	case idle:
		c.fly(open)
	default:
		if err := open.publish(); err != nil {
			c.mu.Lock()
			c.open = nil
			c.refuse(open, err)
			c.mu.Unlock()
		}
	}
}

// take moves waiting messages into the open batch, until that has n. The caller holds the lock.
func (c *committer) take(n int) {
	if c.open == nil {
		c.open = newBatch(c.js.Conn())
	}
	c.queue = slices.DeleteFunc(c.queue, func(e *entry) bool {
		if len(c.open.members) >= n || !c.open.add(e, c.cfg) {
			return false
		}
		e.sent = true
		c.queueBytes -= e.size
		return true
	})
}

// releaseAlone lets the callers of the first n waiting messages publish them alone. The caller
// holds the lock.
func (c *committer) releaseAlone(n int) {
	n = max(0, min(n, len(c.queue)))
	for _, e := range c.queue[:n] {
		c.queueBytes -= e.size
		c.tell(e, verdict{next: goAlone})
	}
	c.queue = slices.Delete(c.queue, 0, n)
}

func (c *committer) fly(b *batch) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.timeout)
	c.mu.Lock()
	c.open, c.flying, c.interrupt = nil, b, cancel
	c.mu.Unlock()
	if b.started.Before(c.lastLanding) {
		b.started = c.lastLanding
	}
	c.tasks.Go(func() {
		defer cancel()
		if b.trial {
			b.results = make([]result, len(b.members))
			flight(ctx, b, b.results)
		} else {
			b.stored, b.err = b.commit(ctx)
		}
		b.took = time.Since(b.started)
		c.landed <- b
	})
}

func (c *committer) settle(b *batch) {
	if !b.trial {
		c.cfg.observe(len(b.members))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.landedNow(b)
	switch {
	case b.trial:
		c.settleTrial(b)
	case b.err == nil:
		c.cost.batch(len(b.members), b.took)
		for i, e := range b.members {
			c.known.add(e.id)
			c.tell(e, verdict{result: result{ack: b.ack(i)}})
		}
	case isRefusal(b.err):
		c.refuse(b, b.err)
	default:
		for _, e := range b.members {
			c.tell(e, verdict{result: result{err: b.err}})
		}
	}
}

// settleTrial is settle for a batch whose messages were published as singles. The caller holds
// the lock.
func (c *committer) settleTrial(b *batch) {
	fair := true
	for i, e := range b.members {
		r := b.results[i]
		if r.err == nil {
			c.known.add(e.id)
		}
		fair = fair && r.err == nil && !r.ack.Duplicate // others cost no sync
		c.tell(e, verdict{result: r})
	}
	if fair {
		c.cost.trial(len(b.members), b.took)
	}
}

// refuse lets each message of a refused batch succeed or fail alone. If one was a duplicate,
// the others are to go on together, if they meet a second time. The caller holds the lock.
func (c *committer) refuse(b *batch, err error) {
	if natserr.Is(err, natserr.BatchDisabled) {
		c.able.Store(false)
		c.look()
	}
	duplicate := natserr.Is(err, natserr.BatchDuplicate)
	for _, e := range b.members {
		withoutBatch(e.msg.Header)
		e.refused++
		next := goAlone
		if duplicate && e.refused == 1 && e.id != "" {
			next = goAsk
		}
		c.tell(e, verdict{next: next})
	}
}

// end fails waiting messages and waits for those in flight.
func (c *committer) end() {
	c.mu.Lock()
	flying, open := c.flying, c.open
	for _, e := range c.queue {
		c.tell(e, verdict{result: result{err: errStopped}})
	}
	if open != nil { // without its commit it is never stored
		for _, e := range open.members {
			c.tell(e, verdict{result: result{err: errStopped}})
		}
	}
	c.queue, c.queueBytes, c.open = nil, 0, nil
	c.mu.Unlock()
	if flying != nil {
		c.settle(<-c.landed)
	}
}
