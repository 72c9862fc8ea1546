// Package stream is the producer's side of JetStream: the embedded server and its accounts,
// connections, the provisioning of streams, the keeper that makes events durable in the journal
// of this machine, and the forwarder that moves them from there to NATS. Readers are elsewhere: package
// streamread reads single messages, packages redelivery and consumers read through durables.
package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streams"
)

// Publisher stores messages in streams, and returns when the stream has acknowledged them. It is
// safe for concurrent use.
type Publisher struct {
	js      jetstream.JetStream
	names   bridge.Names
	fit     atomic.Bool
	metrics *metrics
	known   recentIDs      // acknowledged ones
	alarms  bridge.Alarmer // nil: none
	// timeout bounds one part of a block.
	timeout time.Duration
	// forgotten is called when what was learned of the streams is dropped.
	forgotten func()

	exchanges exchanges

	mu      sync.Mutex
	batches map[string]batchability // by stream
	closed  bool
	tasks   sync.WaitGroup
	// unserved has room for one signal.
	unserved chan struct{}
}

// NewPublisher returns a publisher that uses js. It refuses every event until
// [Publisher.SetFit] reports a fit stream. [Publisher.Close] must be called before the
// connection is closed.
func NewPublisher(js jetstream.JetStream, names bridge.Names) *Publisher {
	return &Publisher{js: js, names: names, metrics: newMetrics(), timeout: blockTimeout, forgotten: func() {}, batches: map[string]batchability{}, unserved: make(chan struct{}, 1)}
}

// Close refuses further blocks of messages, and returns when none is in flight, at the latest
// when the callers' contexts have ended or after 5 s.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.tasks.Wait()
	p.exchanges.close()
}

// enter keeps the publisher from closing until tasks.Done.
func (p *Publisher) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Add(1)
	}
	return !p.closed
}

// Collectors returns the metrics: hookspan_publish_seconds by stream and result, and
// hookspan_publish_batch_messages.
func (p *Publisher) Collectors() []prometheus.Collector {
	return []prometheus.Collector{p.metrics.publish, p.metrics.batch}
}

// SetFit says whether the stream is as [Provision] makes it. The acknowledgement of another
// stream, for example one in memory, proves nothing.
func (p *Publisher) SetFit(fit bool) {
	switch was := p.fit.Swap(fit); {
	case was && !fit:
		p.forget()
	case !was && fit:
		p.drop() // and not what was accepted meanwhile, which is on its way
	}
}

// forget drops what was learned of the streams: they may be others now.
func (p *Publisher) forget() {
	p.forgotten()
	p.drop()
}

func (p *Publisher) drop() {
	p.known.forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.batches)
}

// Fit returns the last value of SetFit.
func (p *Publisher) Fit() bool { return p.fit.Load() }

// Publish returns nil once the stream has acknowledged the event: the embedded server after
// fsync, a cluster after its quorum. The error wraps one of bridge.ErrFull, ErrUnavailable,
// ErrUnknown and ErrTooLarge. Publishing the event again is safe after any of them, because of
// its message id.
func (p *Publisher) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return p.Store(ctx, p.names.EventsStream(), eventMessage(p.names, e))
}

// Store is [Publisher.Publish] for any message. It returns when the stream, and no other one,
// has acknowledged m, or soon after ctx has ended; m belongs to the caller again then. For a
// duplicate that is no event, Store checks whether m is really there, and otherwise stores m
// under another id.
func (p *Publisher) Store(ctx context.Context, stream string, m *nats.Msg) (receipt bridge.Receipt, err error) {
	start := time.Now()
	defer func() { p.metrics.observe(stream, start, receipt, err) }()
	return p.store(ctx, stream, m)
}

func (p *Publisher) store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	r := result{err: errNotFit}
	if p.fit.Load() {
		r.ack, r.err = p.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	}
	return p.outcome(ctx, stream, m, r)
}

// StoreAll is [Publisher.Store] for a block of messages, in order; outcome i is that of message
// i. After a failure it does not send the remaining messages, whose outcome is
// bridge.ErrUnavailable. The messages belong to StoreAll until it returns. They share syncs
// where the stream and the server support that.
func (p *Publisher) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	start := time.Now()
	outcomes := p.storeAll(ctx, stream, msgs)
	for _, o := range outcomes {
		p.metrics.observe(stream, start, o.Receipt, o.Err)
	}
	return outcomes
}

func (p *Publisher) storeAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	outcomes := make([]streams.Outcome, len(msgs))
	for i, r := range p.storeBlock(ctx, stream, msgs) {
		outcomes[i].Receipt, outcomes[i].Err = p.outcome(ctx, stream, msgs[i], r)
	}
	return outcomes
}

// outcome judges the stream's answer to m.
func (p *Publisher) outcome(ctx context.Context, stream string, m *nats.Msg, r result) (bridge.Receipt, error) {
	r = p.confirm(ctx, stream, m, r)
	if r.err != nil {
		p.noteUnserved(r.err)
		return bridge.Receipt{}, fmt.Errorf("publishing to %s: %w: %w", stream, classify(r.err), r.err)
	}
	return receipt(r.ack, stream)
}

// errNotFit: the stream is not known to keep its promises yet.
var errNotFit = fmt.Errorf("%w: it is not provisioned", errNotSent)

// Unserved signals, once for any number of publishes, that NATS answered a publish and no
// stream took it: the stream may have been removed.
func (p *Publisher) Unserved() <-chan struct{} { return p.unserved }

func (p *Publisher) noteUnserved(err error) {
	if !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return
	}
	p.forget()
	select {
	case p.unserved <- struct{}{}:
	default:
	}
}

// Storer makes messages durable.
type Storer interface {
	// Store returns nil once m is durable and on its way to the stream, or was already. Its
	// error wraps one of bridge.ErrFull, ErrUnavailable, ErrUnknown and ErrTooLarge. m must
	// carry its message id, and belongs to Store until that returns. It is safe for concurrent
	// use.
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// BlockStorer makes blocks of messages durable.
type BlockStorer interface {
	// StoreAll is as [Publisher.StoreAll].
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}

func eventMessage(names bridge.Names, e *bridge.Event) *nats.Msg {
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	return &nats.Msg{Subject: names.SubjectOf(e), Header: header, Data: e.Body}
}

func receipt(ack *jetstream.PubAck, stream string) (bridge.Receipt, error) {
	if ack.Stream != stream {
		return bridge.Receipt{}, fmt.Errorf("publishing: %w: stream %s took it instead of %s", bridge.ErrUnavailable, ack.Stream, stream)
	}
	result := bridge.Stored
	if ack.Duplicate {
		result = bridge.Duplicate
	}
	return bridge.Receipt{Result: result, Stream: ack.Stream, Sequence: ack.Sequence}, nil
}

var errNotSent = errors.New("not sent")

// classify returns what is known of an event whose publish ended in err. It is
// bridge.ErrUnknown unless the message surely did not reach the stream: its answer may have
// been lost.
func classify(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case natserr.AccountResources, natserr.NoResources, natserr.StorageResources:
			return bridge.ErrFull
		case natserr.StoreFailed:
			// The server uses one code for every limit and every fault of the store; only the
			// text differs.
			if strings.Contains(api.Description, "maximum") {
				return bridge.ErrFull
			}
			return bridge.ErrUnknown
		case jetstream.JSErrCodeStreamMessageExceedsMaximum, natserr.HeaderTooLarge:
			return bridge.ErrTooLarge
		case natserr.DuplicateInFlight:
			// The first copy is on its way, and the leader that has it may still lose it.
			return bridge.ErrUnknown
		}
		return bridge.ErrUnavailable
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return bridge.ErrTooLarge
	case errors.Is(err, errNotSent),
		errors.Is(err, jetstream.ErrNoStreamResponse), // no stream took it
		errors.Is(err, nats.ErrReconnectBufExceeded),  // not sent: no connection
		errors.Is(err, nats.ErrHeadersNotSupported):   // never connected yet
		return bridge.ErrUnavailable
	}
	return bridge.ErrUnknown
}
