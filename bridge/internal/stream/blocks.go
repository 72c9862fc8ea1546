package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// batchMessages and batchBytes bound one batch. The first is the server's limit.
	batchMessages = 1000
	batchBytes    = 8 << 20
	// breakEven is from how many messages on an atomic batch costs less than singles: its
	// folder, files and about 4 syncs do not depend on its size (nats-server 2.15.2).
	breakEven = 12
	// blockTimeout is how long the answers to one part of a block are awaited.
	blockTimeout = 5 * time.Second
)

// result is the outcome of one message: ack, or an error for [classify].
type result struct {
	ack *jetstream.PubAck
	err error
}

// storeBlock stores messages in a stream, in order as far as that costs nothing; results[i] is
// the outcome of msgs[i]. It commits them in parts, each as an atomic batch where the stream
// and the server support that and it pays, otherwise as singles. It stops after a part with a
// failed message. The messages must not be touched until storeBlock returns.
func (p *Publisher) storeBlock(ctx context.Context, stream string, msgs []*nats.Msg) []result {
	results := make([]result, len(msgs))
	switch {
	case !p.fit.Load():
		return failAll(results, errNotFit)
	case !p.enter():
		return failAll(results, errStopped)
	}
	defer p.tasks.Done()
	nc := p.js.Conn()
	x, err := p.exchanges.take(nc)
	if err != nil {
		return failAll(results, notSent(err))
	}
	defer p.exchanges.put(x)
	b := blocks{p: p, stream: stream, exchange: x, atomic: len(msgs) >= breakEven && p.batchable(ctx, stream)}
	for from := 0; from < len(msgs); {
		if err := ctx.Err(); err != nil {
			failAll(results[from:], notSent(err))
			break
		}
		to := from + partOf(msgs[from:])
		if !b.store(ctx, msgs[from:to], results[from:to]) {
			failAll(results[to:], errBehind)
			break
		}
		from = to
	}
	return results
}

// partOf returns how many of the messages are the next part.
func partOf(msgs []*nats.Msg) int {
	bytes := 0
	for i, m := range msgs {
		bytes += messageSize(m)
		if i > 0 && bytes > batchBytes || i == batchMessages {
			return i
		}
	}
	return len(msgs)
}

type blocks struct {
	*exchange

	p      *Publisher
	stream string
	atomic bool
}

// store reports whether all of the part is stored.
func (b blocks) store(ctx context.Context, msgs []*nats.Msg, results []result) bool {
	ctx, cancel := context.WithTimeout(ctx, b.p.timeout)
	defer cancel()
	if !b.atomic || len(msgs) < breakEven {
		return b.storeSingles(ctx, msgs, results)
	}
	fresh, known := b.p.known.split(b.stream, msgs)
	failAll(results, errBehind) // what is not tried
	return b.storeSome(ctx, b.storeFresh, msgs, results, fresh) && b.storeSome(ctx, b.storeSingles, msgs, results, known)
}

// storeSome stores the messages with these indexes.
func (b blocks) storeSome(ctx context.Context, store func(context.Context, []*nats.Msg, []result) bool, msgs []*nats.Msg, results []result, which []int) bool {
	if len(which) == len(msgs) {
		return store(ctx, msgs, results)
	}
	some, outcomes := make([]*nats.Msg, len(which)), make([]result, len(which))
	for i, at := range which {
		some[i] = msgs[at]
	}
	ok := store(ctx, some, outcomes)
	for i, at := range which {
		results[at] = outcomes[i]
	}
	return ok
}

// storeFresh stores messages with different ids that the stream probably does not have. One
// duplicate has the whole batch refused; then each half is tried, down to singles.
func (b blocks) storeFresh(ctx context.Context, msgs []*nats.Msg, results []result) bool {
	if len(msgs) < breakEven {
		return b.storeSingles(ctx, msgs, results)
	}
	err := b.commitBatch(ctx, msgs, results)
	b.p.metrics.batch.Observe(float64(len(msgs)))
	switch {
	case err == nil:
		b.p.known.add(b.stream, msgs)
		return true
	case !isRefusal(err):
		failAll(results, err)
		return false
	}
	half := len(msgs) / 2
	if !b.storeFresh(ctx, msgs[:half], results[:half]) {
		failAll(results[half:], errBehind)
		return false
	}
	return b.storeFresh(ctx, msgs[half:], results[half:])
}

func (b blocks) storeSingles(ctx context.Context, msgs []*nats.Msg, results []result) bool {
	if len(msgs) == 0 {
		return true
	}
	b.singles(ctx, msgs, results)
	ok := true
	for i, r := range results {
		if r.err == nil {
			b.p.known.add(b.stream, msgs[i:i+1])
		}
		ok = ok && r.err == nil
	}
	return ok
}

const (
	// batchableAge is how long a change of the stream may go unnoticed.
	batchableAge  = 30 * time.Second
	batchableWait = 5 * time.Second
)

// batchability is whether a batch pays in a stream, as seen on one server.
type batchability struct {
	server string
	at     time.Time
	yes    bool
}

// batchable asks the server, unless it has done so lately. Only a stream with one replica in
// files gains by a batch: several replicas share syncs by themselves.
func (p *Publisher) batchable(ctx context.Context, stream string) bool {
	nc := p.js.Conn()
	server := nc.ConnectedServerId() // of one process of a server: a new one has a new id
	p.mu.Lock()
	last := p.batches[stream]
	p.mu.Unlock()
	if last.server == server && time.Since(last.at) < batchableAge {
		return last.yes
	}
	ctx, cancel := context.WithTimeout(ctx, batchableWait)
	defer cancel()
	s, err := p.js.Stream(ctx, stream)
	if err != nil {
		return false // and asked again next time
	}
	yes := batchable(s.CachedInfo().Config, nc.ConnectedServerVersion())
	p.mu.Lock()
	p.batches[stream] = batchability{server: server, at: time.Now(), yes: yes}
	p.mu.Unlock()
	return yes
}

// knownBatchable is what batchable last learned of the server that is connected, and false
// before. It asks nobody.
func (p *Publisher) knownBatchable(stream string) bool {
	server := p.js.Conn().ConnectedServerId()
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.batches[stream]
	return last.yes && last.server == server
}

// batchable reports whether a batch costs one sync on the server. Servers before 2.15 sync each
// of its messages.
func batchable(cfg jetstream.StreamConfig, server string) bool {
	return cfg.AllowAtomicPublish && cfg.Replicas == 1 && cfg.Storage == jetstream.FileStorage && versionAtLeast(server, 2, 15)
}

// versionAtLeast reports whether a server's version is at least major.minor; false for an
// unreadable version.
func versionAtLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
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

var errStopped = fmt.Errorf("%w: the publisher is closed", errNotSent)
