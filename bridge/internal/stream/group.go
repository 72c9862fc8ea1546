package stream

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// groupConfig bounds a [committer]. Zero values are defaults.
type groupConfig struct {
	// maxBatch and maxBatchBytes bound one batch, default and at most 1000
	// messages (the server's limit), default 8 MiB.
	maxBatch, maxBatchBytes int
	// maxQueue and maxQueueBytes bound the messages that wait for a batch, default 8192
	// messages and 64 MiB. Further ones are refused.
	maxQueue, maxQueueBytes int
	// timeout bounds one batch, default 5 s.
	timeout time.Duration
	// breakEven is how many waiting messages make a batch worthwhile. 0 is [minBreakEven],
	// raised while batches are measured to cost more than singles.
	breakEven int
	// observe is called with the size of every sent batch. It must not block.
	observe func(messages int)
}

func (c groupConfig) withDefaults() groupConfig {
	c.maxBatch = min(cmp.Or(c.maxBatch, 1000), 1000)
	c.maxBatchBytes = cmp.Or(c.maxBatchBytes, 8<<20)
	c.maxQueue = cmp.Or(c.maxQueue, 8192)
	c.maxQueueBytes = cmp.Or(c.maxQueueBytes, 64<<20)
	c.timeout = cmp.Or(c.timeout, 5*time.Second)
	if c.observe == nil {
		c.observe = func(int) {}
	}
	return c
}

// largeMessage is the size from which a message is published alone: writing it costs more than
// the saved sync, and its copy would cost memory.
const largeMessage = 256 << 10

// result is the outcome of one message: ack, or an error for [classify].
type result struct {
	ack *jetstream.PubAck
	err error
}

// committer makes messages durable in one stream. When little is going on, the caller's
// goroutine publishes its message at once. When as many messages as the break-even wait, the
// committer commits them as an atomic batch, whose cost in syncs does not grow with its size;
// messages that arrive meanwhile form the next batch. So the load determines the size of
// batches. A batch does not wait to be filled, except as [coalesce] says.
//
// It is safe for concurrent use.
type committer struct {
	js     jetstream.JetStream
	stream string
	cfg    groupConfig

	able   atomic.Bool // the stream and the server support batches
	known  recentIDs
	wake   chan struct{}
	landed chan *batch
	check  chan struct{} // look again whether the stream can batch
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	queue      []*entry
	queueBytes int
	singles    int // messages that are being published alone
	cost       batchCost
	flying     *batch // sent, and not answered yet
	interrupt  func() // ends the wait for flying
	open       *batch // being sent while another one is in flight
	coalesce   coalesce

	lastLanding time.Time
}

// newCommitter returns a committer to the stream; close must be called.
func newCommitter(js jetstream.JetStream, stream string, cfg groupConfig) *committer {
	c := &committer{
		js: js, stream: stream, cfg: cfg.withDefaults(),
		wake: make(chan struct{}, 1), landed: make(chan *batch, 1), check: make(chan struct{}, 1),
	}
	c.cost.set = cfg.breakEven
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.tasks.Go(c.loop)
	c.tasks.Go(c.watch)
	return c
}

// close fails waiting messages and returns when nothing is in flight, at the latest after the
// time-out of a batch and the callers' own contexts.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.tasks.Wait()
}

// commit returns when m is durable, or soon after ctx has ended; m then belongs to the caller
// again. Its error is one for [classify].
func (c *committer) commit(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	if err := ctx.Err(); err != nil {
		return nil, notSent(err)
	}
	e, err := c.admit(m)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return c.alone(ctx, m)
	}
	for {
		var v verdict
		select {
		case v = <-e.verdict:
		case <-ctx.Done():
			v = c.leave(e, ctx.Err())
		}
		switch v.next {
		case finished:
			return v.ack, v.err
		case goAlone:
			return c.alone(ctx, m)
		case goAsk:
			ack, err := c.ask(ctx, m)
			if !isNew(err) {
				c.endSingle(e.id, err)
				return ack, err
			}
			if !c.again(e) {
				return nil, errStopped
			}
		}
	}
}

func notSent(err error) error { return fmt.Errorf("%w: %w", errNotSent, err) }
