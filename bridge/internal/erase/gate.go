package erase

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

// Erases reports whether a message on its way to a stream is of an erased prediction, or is a
// delivery that names one.
func (r *Registry) Erases(subject string, header map[string][]string, body []byte) bool {
	if !r.Any() {
		return false
	}
	m := Message{subject, header, body}
	if id := bridge.Header(header).Get("ce-subject"); id == "" && keptSource(r.names, subject) == "" {
		return false
	}
	return known(r.Has).is(r.names, m)
}

// Publisher makes events and other messages durable.
type Publisher interface {
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// Gate is a publisher that takes nothing of erased predictions: the result is
// [bridge.Erasure], and nothing is stored.
type Gate struct {
	Publisher
	Registry *Registry
}

// Publish implements [Publisher].
func (g Gate) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	if g.Registry.Has(e.Source, e.PredictionID) {
		return bridge.Receipt{Result: bridge.Erasure}, nil
	}
	return g.Publisher.Publish(ctx, e)
}

// Store implements [Publisher].
func (g Gate) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	if g.Registry.Erases(m.Subject, m.Header, m.Data) {
		return bridge.Receipt{Result: bridge.Erasure, Stream: stream}, nil
	}
	return g.Publisher.Store(ctx, stream, m)
}

// Blocks makes blocks of messages durable.
type Blocks interface {
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}

// BlockGate is [Gate] for blocks.
type BlockGate struct {
	Blocks
	Registry *Registry
}

// StoreAll implements [Blocks].
func (g BlockGate) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	outcomes := make([]streams.Outcome, len(msgs))
	var pass []*nats.Msg
	var at []int
	for i, m := range msgs {
		if g.Registry.Erases(m.Subject, m.Header, m.Data) {
			outcomes[i].Receipt = bridge.Receipt{Result: bridge.Erasure, Stream: stream}
			continue
		}
		pass, at = append(pass, m), append(at, i)
	}
	if len(pass) > 0 {
		for i, o := range g.Blocks.StoreAll(ctx, stream, pass) {
			outcomes[at[i]] = o
		}
	}
	return outcomes
}
