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
	// maxQueue and maxQueueBytes bound what waits for a batch, default 8192
	// messages and 64 MiB. What comes on top is refused.
	maxQueue, maxQueueBytes int
	// timeout is how long one batch may take, default 5 s.
	timeout time.Duration
	// breakEven is how many messages must wait for a batch to be worth it. 0 is
	// [minBreakEven], raised while batches are measured to cost more than singles.
	breakEven int
	// observe is called with the size of every batch that was sent. It must not
	// block.
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

// largeMessage goes alone: beyond it, writing costs more than the sync that a
// batch would save, and the copy that waits would cost memory.
const largeMessage = 256 << 10

// result is what became of one message: ack, or why not, as [classify] tells it.
type result struct {
	ack *jetstream.PubAck
	err error
}

// committer makes messages durable in one stream. A message that finds little
// going on is published at once by the goroutine that brought it. When as many wait
// as the break-even they are committed together as an atomic batch, whose cost in
// syncs does not grow with its size: what comes while one batch is being committed
// is the next. So the load makes the batches, and a batch does not wait to be filled,
// but see [coalesce].
//
// It is safe for concurrent use.
type committer struct {
	js     jetstream.JetStream
	stream string
	cfg    groupConfig

	able   atomic.Bool // the stream and the server can batch
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

// close fails what waits and returns when nothing is in flight any more, at the
// latest after the time that a batch may take and the callers' own contexts.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.tasks.Wait()
}

// commit returns when m is durable, or soon after ctx has ended. Its error is one
// for [classify]. m is the caller's again when it has returned.
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
