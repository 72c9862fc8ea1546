package stream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

type entry struct {
	msg     *nats.Msg // a copy: the caller may get its own back at any time
	id      string
	size    int
	verdict chan verdict
	// Guarded by committer.mu: whether it was put into a batch, how many of its batches held a
	// duplicate, and whether its caller has left.
	sent    bool
	refused int
	left    bool
}

// verdict is the loop's answer to the caller of an entry.
type verdict struct {
	result
	next step
}

type step int

const (
	finished step = iota
	// goAlone: publish the message yourself; a place among the singles is taken.
	goAlone
	// goAsk: ask the stream whether it has the message.
	goAsk
)

var (
	errQueueFull = fmt.Errorf("%w: too many messages wait to be committed", errNotSent)
	errStopped   = fmt.Errorf("%w: the publisher is closed", errNotSent)
)

// admit returns nil when m is to be published alone at once, with a place among the singles
// taken; otherwise the entry that waits.
func (c *committer) admit(m *nats.Msg) (*entry, error) {
	id, size := messageID(m), messageSize(m)
	if alone, err := c.goesAlone(id, size); alone || err != nil {
		return nil, err
	}
	e := &entry{msg: copyForBatch(m), id: id, size: size, verdict: make(chan verdict, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errStopped
	case len(c.queue) >= c.cfg.maxQueue, c.queueBytes+size > c.cfg.maxQueueBytes:
		return nil, errQueueFull
	}
	c.enqueue(e)
	return e, nil
}

// goesAlone reports whether the message is to be published alone, and then takes a place among
// the singles.
func (c *committer) goesAlone(id string, size int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false, errStopped
	}
	alone := !c.able.Load() || size > largeMessage || c.known.has(id) || c.idle()
	if alone {
		c.startSingle()
	}
	return alone, nil
}

// idle reports whether one more single delays nobody. The caller holds the lock.
func (c *committer) idle() bool {
	return c.flying == nil && c.open == nil && len(c.queue) == 0 && c.singles < c.cost.breakEven() && !c.coalesces()
}

func (c *committer) enqueue(e *entry) {
	c.queue = append(c.queue, e)
	c.coalesce.last = time.Now()
	c.queueBytes += e.size
	c.poke()
}

func (c *committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// startSingle takes a place among the singles. The caller holds the lock.
func (c *committer) startSingle() {
	c.singles++
	c.tasks.Add(1)
}

// endSingle gives back the place of a single that ended in err.
func (c *committer) endSingle(id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.known.add(id)
	}
	c.endSingleLocked()
}

func (c *committer) endSingleLocked() {
	c.singles--
	if len(c.queue) > 0 {
		c.poke()
	}
	c.tasks.Done()
}

func (c *committer) alone(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	ack, err := c.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	c.endSingle(messageID(m), err)
	return ack, err
}

// leave withdraws the entry of a caller whose time is up, and returns the verdict.
func (c *committer) leave(e *entry, cause error) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case v := <-e.verdict:
		if v.next == finished {
			return v
		}
		defer c.endSingleLocked()
	default:
		e.left = true
	}
	if i := slices.Index(c.queue, e); i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
		c.queueBytes -= e.size
	}
	if !e.sent {
		return verdict{result: result{err: notSent(cause)}}
	}
	return verdict{result: result{err: fmt.Errorf("waiting for a batch to be committed: %w", cause)}}
}

// tell answers the caller of an entry, unless it has left. The caller holds the lock.
func (c *committer) tell(e *entry, v verdict) {
	if e.left {
		return
	}
	if v.next != finished {
		c.startSingle()
	}
	e.verdict <- v
}

// again puts an entry that has asked back into the queue.
func (c *committer) again(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.endSingleLocked()
	if !c.closed {
		c.enqueue(e)
	}
	return !c.closed
}

func (c *committer) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

func messageSize(m *nats.Msg) int {
	size := len(m.Subject) + len(m.Data)
	for key, values := range m.Header {
		for _, v := range values {
			size += len(key) + len(v) + len(": \r\n")
		}
	}
	return size
}

func messageID(m *nats.Msg) string { return bridge.Header(m.Header).Get(bridge.HeaderMsgID) }
