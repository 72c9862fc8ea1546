package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

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

// SetTimeout sets how long the answers to a part of a block are awaited.
func (p *Publisher) SetTimeout(d time.Duration) { p.timeout = d }

// Batches returns how many atomic batches were sent.
func (p *Publisher) Batches() uint64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(p.metrics.batch)
	families, _ := registry.Gather() // it has the one histogram
	return families[0].GetMetric()[0].GetHistogram().GetSampleCount()
}

// SetMissingAfter sets how long records wait for a stream that is not there.
func (f *Forwarder) SetMissingAfter(d time.Duration) { f.missingAfter = d }

// Forget makes the publisher ask anew what its streams are, and know no id.
func (p *Publisher) Forget() { p.forget() }

func EventMessage(e *bridge.Event) *nats.Msg { return eventMessage(bridge.Names{}, e) }

func CanBatch(c jetstream.StreamConfig, v string) bool { return batchable(c, v) }

func AtomicPays(c jetstream.StreamConfig, replicas int) bool { return atomicPays(c, replicas) }

// OldSpool is the spool of an earlier version, to be filled.
func OldSpool(ctx context.Context, folder *datafolder.Folder, names bridge.Names) (js jetstream.JetStream, end func(), err error) {
	server, err := startSpoolServer(ctx, folder, zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	nc, err := server.Connect("test", zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	js, err = jetstream.New(nc)
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: names.SpoolStream(), Subjects: []string{"hookspan.spool.>"}, Storage: jetstream.FileStorage})
	}
	return js, func() { nc.Close(); server.Close() }, err
}
