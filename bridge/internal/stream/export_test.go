package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Restart restarts the spool's server, as [Spool.Watch] does with a frozen one.
func (s *Spool) Restart(ctx context.Context) error { return s.server.restart(ctx) }

// SwapAccounts changes the accounts of the next server, and returns the old ones: with nonsense
// it cannot start.
func (e *Embedded) SwapAccounts(text string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.accounts
	e.accounts = text
	return old
}

// ConnectionLimit returns the connection limit of an account.
func (e *Embedded) ConnectionLimit(name string) int {
	account, err := e.server.Load().LookupAccount(name)
	if err != nil {
		return 0
	}
	return account.MaxActiveConnections()
}

// BoundPending sets the limit of bytes buffered for programs that do not read.
func (e *Embedded) BoundPending(bytes int64) { e.guard.most.Store(bytes) }

// Group is a committer for tests outside the package, which can hold it up: messages then wait
// until it is released.
type Group struct {
	c         *committer
	breakEven int
}

// GroupConfig is a groupConfig.
type GroupConfig struct {
	MaxBatch, MaxBatchBytes int
	MaxQueue, MaxQueueBytes int
	BreakEven               int
	Timeout                 time.Duration
	Observe                 func(int)
}

func NewGroup(js jetstream.JetStream, stream string, cfg GroupConfig) *Group {
	return &Group{c: newCommitter(js, stream, groupConfig{
		maxBatch: cfg.MaxBatch, maxBatchBytes: cfg.MaxBatchBytes, maxQueue: cfg.MaxQueue, maxQueueBytes: cfg.MaxQueueBytes,
		breakEven: cfg.BreakEven, timeout: cfg.Timeout, observe: cfg.Observe,
	})}
}

func (g *Group) Commit(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	ack, err := g.c.commit(ctx, m)
	return ack, withClass(err)
}

func (g *Group) CommitAll(ctx context.Context, msgs []*nats.Msg) ([]*jetstream.PubAck, []error) {
	acks, errs := make([]*jetstream.PubAck, len(msgs)), make([]error, len(msgs))
	for i, r := range g.c.commitAll(ctx, msgs) {
		acks[i], errs[i] = r.ack, withClass(r.err)
	}
	return acks, errs
}

func withClass(err error) error {
	if err == nil {
		return nil
	}
	return &classified{err, classify(err)}
}

type classified struct{ err, class error }

func (c *classified) Error() string   { return c.class.Error() + ": " + c.err.Error() }
func (c *classified) Unwrap() []error { return []error{c.err, c.class} }

func (g *Group) Able() bool  { return g.c.able.Load() }
func (g *Group) Look()       { g.c.look() }
func (g *Group) Queued() int { return g.c.queued() }
func (g *Group) Close()      { g.c.close() }

// Hold keeps all messages waiting, as right after a batch.
func (g *Group) Hold() {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	g.breakEven = g.c.cost.set
	g.c.cost.set = 1 << 30
	g.c.coalesce = coalesce{until: time.Now().Add(time.Hour), quiet: time.Hour, last: time.Now(), expected: 1 << 30, armed: true}
}

func (g *Group) LetGo() {
	g.c.mu.Lock()
	g.c.cost.set, g.c.coalesce = g.breakEven, coalesce{}
	g.c.mu.Unlock()
	g.c.poke()
}

// OweTrial makes the next waiting messages a trial of singles.
func (g *Group) OweTrial() {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	g.c.cost = batchCost{batches: firstBatches}
}

func EventMessage(e *bridge.Event) *nats.Msg { return eventMessage(bridge.Names{}, e) }

// BatchCost is a batchCost for tests outside the package.
type BatchCost struct{ p batchCost }

func (p *BatchCost) BreakEven() int                    { return p.p.breakEven() }
func (p *BatchCost) Due(waiting int) int               { return p.p.due(waiting) }
func (p *BatchCost) Trial(n int, took time.Duration)   { p.p.trial(n, took) }
func (p *BatchCost) Batch(n int, took time.Duration)   { p.p.batch(n, took) }
func NewBatchCost(set int) *BatchCost                  { return &BatchCost{batchCost{set: set}} }
func CanBatch(c jetstream.StreamConfig, v string) bool { return batchable(c, v) }

func AtomicPays(c jetstream.StreamConfig, replicas int) bool { return atomicPays(c, replicas) }

func MessageSize(m *nats.Msg) int { return messageSize(m) }

func (p *BatchCost) WantsTrial() bool { return p.p.wantsTrial() }
