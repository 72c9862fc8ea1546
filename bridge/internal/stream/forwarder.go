package stream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/backoff"
)

// firstRetry and longestRetry bound the growing pause before a block is tried again.
const firstRetry, longestRetry = 50 * time.Millisecond, 2 * time.Second

// ForwarderConfig of a [Forwarder].
type ForwarderConfig struct {
	Names bridge.Names
	// Cluster: the streams are elsewhere. Replicas share syncs by themselves, so many small
	// blocks are in flight at once; where batches pay, two are, since more would be too small
	// for a batch. Otherwise one block is, as large as what waits.
	Cluster bool
	// Duplicates is how long the streams know a message id.
	Duplicates time.Duration
	// Erased, unless nil, knows which records are of erased predictions. They are not
	// forwarded.
	Erased Erased
	// Tracer begins the spans of what is forwarded; nil: none.
	Tracer trace.Tracer
}

// Erased knows what is erased for good. It is safe for concurrent use.
type Erased interface {
	// Ready returns nil once it knows everything that was erased before.
	Ready(ctx context.Context) error
	// Erases reports whether a message is of an erased prediction.
	Erases(subject string, header map[string][]string, body []byte) bool
}

// window bounds what is in flight.
type window struct {
	blocks, messages, bytes int
}

var (
	oneBlock   = window{blocks: 1, messages: batchMessages, bytes: batchBytes}
	twoBlocks  = window{blocks: 2, messages: batchMessages, bytes: batchBytes}
	manyBlocks = window{blocks: 32, messages: 64, bytes: 1 << 20}
)

// mostInFlight is how many records any window lets be in flight.
const mostInFlight = 32 * 64

// Forwarder moves the records of a journal to their streams, in order as far as that costs
// nothing, and tries for ever with the same message id. It needs no state of its own: the
// journal knows what is acknowledged, and what was sent beyond that is recognised in the
// stream.
//
// A record that NATS never takes would block all others, because it is too large or because a
// stream other than that of events is full. The forwarder sets it aside in the journal, and
// raises an alarm.
type Forwarder struct {
	journal   *journal.Journal
	publisher *Publisher
	others    []jetstream.JetStream
	cfg       ForwarderConfig
	window    window
	full      *fullStreams
	lasting   *lasting.Alarms // of the goroutine that watches
	log       *zap.Logger
	// heard is called with each record that a stream has acknowledged, or that was set aside
	// for the error, before the record is settled.
	heard func(*journal.Record, bridge.Receipt, error)

	forwarded  atomic.Uint64
	recognised atomic.Bool // nothing is left of an earlier process that may be in the stream

	mu      sync.Mutex
	changed *sync.Cond        // of blocks and failing
	blocks  []*block          // in flight, in order
	streams map[string]*known // by name
	// past: nothing is left of what an earlier process had appended, up to the sequence last.
	// Until then the floors are those that it noted.
	past   bool
	last   uint64
	atOpen map[string]uint64
	found  map[idHash]bridge.Receipt // forwarded by an earlier process, and not settled yet
	health health

	// missingAfter is how long records wait for a stream other than that of events that is not
	// there.
	missingAfter time.Duration
	// awaited: answers wait for the stream.
	awaited bool

	stop context.CancelFunc
	done chan struct{}
}

// block is a part of the journal that is on its way.
type block struct {
	records []journal.Record
	settled []bool
	through uint64
	began   time.Time
	// floor is what each stream had acknowledged when the block was begun, by [known].key: what
	// the stream has of the block lies behind that.
	floor   map[string]uint64
	streams map[string]bool // that the records go to
	failed  bool
	done    bool
}

// NewForwarder returns a forwarder from the journal to NATS; [Forwarder.Start] starts it. When
// the connection of the publisher is made anew because its server does not serve, so are those
// of others to that server.
func NewForwarder(j *journal.Journal, p *Publisher, others []jetstream.JetStream, cfg ForwarderConfig, alarms bridge.Alarmer, log *zap.Logger) *Forwarder {
	f := &Forwarder{
		journal: j, publisher: p, others: others, cfg: cfg, window: oneBlock, full: newFullStreams(p.js), lasting: lasting.New(alarms), log: log.Named("forwarder"),
		heard:   func(*journal.Record, bridge.Receipt, error) {},
		streams: map[string]*known{}, found: map[idHash]bridge.Receipt{}, missingAfter: behindAfter, done: make(chan struct{}),
	}
	if cfg.Cluster {
		f.window = manyBlocks
	}
	checkpoint := j.Checkpoint()
	f.last, f.atOpen = j.State().Last, checkpoint.Streams
	f.past = checkpoint.Settled >= f.last
	f.changed = sync.NewCond(&f.mu)
	f.health.stuck = make(chan struct{})
	return f
}

// Start begins to forward, until [Forwarder.Close].
func (f *Forwarder) Start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go func() {
		defer close(f.done)
		f.run(ctx)
	}()
}

func (f *Forwarder) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { f.watch(ctx) })
	if !f.awaitFit(ctx) || !f.recogniseAll(ctx) {
		return
	}
	for after := f.journal.Checkpoint().Settled; f.deep(after) || f.ready(ctx); {
		if f.cfg.Cluster {
			f.window = manyBlocks
			if f.publisher.knownBatchable(f.cfg.Names.EventsStream()) {
				f.window = twoBlocks
			}
		}
		records, through, err := f.journal.Next(ctx, after, f.window.messages, f.window.bytes)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			f.log.Error("the journal cannot be read, trying again", zap.Error(err))
			backoff.Sleep(ctx, longestRetry)
			continue
		}
		// Behind the wait, which can take hours for a block that was read ahead.
		if !f.ready(ctx) || f.aged(records) && !f.recogniseAged(ctx) {
			return
		}
		after = through
		b := f.begin(records, through)
		tasks.Go(func() { f.forward(ctx, b) })
		f.gather(ctx, len(records), through)
	}
}

// gatherTime is how long the forwarder lets records gather behind an atomic batch. Each batch
// costs some 4 syncs and 20 files whatever its size, which webhooks would wait for.
const gatherTime = 50 * time.Millisecond

// gather waits while batches are worthwhile and the next one would be small. At low rates there
// are no batches, and nothing waits.
func (f *Forwarder) gather(ctx context.Context, sent int, through uint64) {
	if f.cfg.Cluster || f.awaited || sent < breakEven || f.deep(through) {
		return
	}
	backoff.Sleep(ctx, gatherTime)
}

// deep reports whether there is a whole block behind a sequence. Then it is read while the one
// before is stored.
func (f *Forwarder) deep(after uint64) bool {
	return f.journal.State().Last-after >= uint64(f.window.messages)
}

// fitEvery is how often it is looked, at the start, whether the streams are as they are to be.
const fitEvery = 20 * time.Millisecond

// awaitFit returns false when ctx ends before the streams are fit.
func (f *Forwarder) awaitFit(ctx context.Context) bool {
	for !f.publisher.Fit() {
		if !backoff.Sleep(ctx, fitEvery) {
			return false
		}
	}
	return true
}

// ready waits until another block may be sent, and returns false when ctx ends. None is sent
// while one is being retried.
func (f *Forwarder) ready(ctx context.Context) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ctx.Err() == nil && (len(f.blocks) >= f.window.blocks || f.health.failing > 0) {
		f.changed.Wait()
	}
	return ctx.Err() == nil
}

func (f *Forwarder) begin(records []journal.Record, through uint64) *block {
	b := &block{records: records, settled: make([]bool, len(records)), through: through, began: time.Now(), streams: map[string]bool{}, floor: map[string]uint64{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range records {
		b.streams[records[i].Stream] = true
		if s := f.streams[records[i].Stream]; s != nil {
			b.floor[s.key] = s.acked
		}
	}
	f.blocks = append(f.blocks, b)
	return b
}

// forward returns when every record of the block is stored or set aside, or when ctx ends.
func (f *Forwarder) forward(ctx context.Context, b *block) {
	retry := backoff.Backoff{First: firstRetry, Max: longestRetry}
	for {
		err := f.attempt(ctx, b)
		if err == nil {
			f.finish(b)
			return
		}
		if ctx.Err() != nil {
			return
		}
		f.failed(b, err)
		backoff.Sleep(ctx, backoff.Spread(retry.Next()))
	}
}

// finish settles the blocks that are done, up to the first one that is not.
func (f *Forwarder) finish(b *block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.done = true
	f.health.succeeded(b)
	f.unfind(b)
	through := uint64(0)
	for len(f.blocks) > 0 && f.blocks[0].done {
		through = f.blocks[0].through
		f.blocks = f.blocks[1:]
	}
	if !f.past && through >= f.last {
		f.past = true
		clear(f.found)
	}
	if through > 0 {
		// Under the lock: no later call may come first.
		f.journal.Settle(through, f.floors())
	}
	f.changed.Broadcast()
}

// settleBeginning settles what is stored of the first block, whose rest may take long. The
// caller holds the lock.
func (f *Forwarder) settleBeginning(b *block) {
	n := 0
	for n < len(b.settled) && b.settled[n] {
		n++
	}
	if n > 0 && b == f.blocks[0] {
		f.journal.Settle(b.records[n-1].Sequence, f.floors())
	}
}

// Close ends the forwarding, after trying for at most patience to empty the journal as long as
// NATS takes what is in it. The next process forwards the rest.
func (f *Forwarder) Close(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !f.Stuck() && f.journal.State().Records > 0 && backoff.Sleep(ctx, 20*time.Millisecond) {
	}
	f.stop()
	<-f.done
	if left := f.journal.State().Records; left > 0 {
		f.log.Warn("the journal still holds events, which go to NATS when a bridge runs on this folder again, or with hookspan journal drain",
			zap.Uint64("events", left))
	}
}

// Empty returns when the journal holds nothing that NATS takes, or with an error when ctx ends
// before.
func (f *Forwarder) Empty(ctx context.Context) error {
	for f.journal.State().Records > 0 {
		if !backoff.Sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("emptying the journal: %w", ctx.Err())
		}
	}
	return nil
}

// Forwarded returns how many records were moved so far.
func (f *Forwarder) Forwarded() uint64 { return f.forwarded.Load() }
