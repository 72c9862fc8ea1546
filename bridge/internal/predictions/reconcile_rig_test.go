package predictions

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/streams"
)

// fakeProvider is somebody else's API.
type fakeProvider func(ctx context.Context, id string) ([]byte, error)

func (p fakeProvider) Result(ctx context.Context, id string) ([]byte, error) { return p(ctx, id) }

func (p fakeProvider) HasKey() bool { return true }

// says is a provider that says the same of every prediction.
func says(rest string) fakeProvider {
	return func(_ context.Context, id string) ([]byte, error) {
		return []byte(`{"id":"` + id + `","model":"get3w/flux-dev",` + rest + `}`), nil
	}
}

func fails(err error) fakeProvider {
	return func(context.Context, string) ([]byte, error) { return nil, err }
}

// asking is one question that a provider was asked.
type asking struct {
	id string
	at time.Time
}

// askings remembers what a provider was asked.
type askings struct {
	mu   sync.Mutex
	list []asking
}

func (a *askings) of(p fakeProvider) fakeProvider {
	return func(ctx context.Context, id string) ([]byte, error) {
		a.mu.Lock()
		a.list = append(a.list, asking{id, time.Now()})
		a.mu.Unlock()
		return p(ctx, id)
	}
}

func (a *askings) all() []asking {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]asking(nil), a.list...)
}

func (a *askings) ids() string {
	var ids []string
	for _, one := range a.all() {
		ids = append(ids, one.id)
	}
	return strings.Join(ids, " ")
}

// memoryDesk is a ledger in memory: it writes over one revision only.
type memoryDesk struct {
	mu       sync.Mutex
	held     map[string]*worklist
	written  map[string]openRecord
	revision uint64
	fail     func(openRecord) error // what becomes of the next save

	// passOver reports whether it was brought back meanwhile.
	passOver func() bool

	behind atomic.Bool
	looks  atomic.Int64 // how often anything of it was looked at
}

func newMemoryDesk() *memoryDesk {
	return &memoryDesk{held: map[string]*worklist{}, written: map[string]openRecord{}}
}

func (d *memoryDesk) lists() map[string]*worklist {
	d.looks.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.held)
}

func (d *memoryDesk) upToDate() bool {
	d.looks.Add(1)
	return !d.behind.Load()
}

func (d *memoryDesk) save(ctx context.Context, rec openRecord, revision uint64) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(rec); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	list := d.held[rec.Source]
	it, open := list.get(rec.ID)
	switch {
	case !open:
		return 0, errNotOpen
	case it.revision != revision:
		return 0, errors.New("another revision")
	}
	d.revision++
	if d.passOver != nil && d.passOver() {
		rec = openRecord{Source: rec.Source, ID: rec.ID, FirstSeen: rec.FirstSeen}
	}
	it.openRecord, it.revision = rec, d.revision
	list.set(it)
	d.written[rec.ID] = rec
	return d.revision, nil
}

func (d *memoryDesk) record(id string) openRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written[id]
}

func (d *memoryDesk) add(r *reconciler, rec openRecord) {
	due := r.due(rec)
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.held[rec.Source]
	if list == nil {
		list = newWorklist()
		d.held[rec.Source] = list
	}
	d.revision++
	d.written[rec.ID] = rec
	list.set(item{openRecord: rec, revision: d.revision, due: due})
}

func (d *memoryDesk) remove(e *bridge.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if list := d.held[e.Source]; list != nil {
		list.remove(e.PredictionID)
	}
}

// alarms remembers alarms.
type alarms struct {
	mu   sync.Mutex
	list []bridge.Alarm
}

func (a *alarms) Raise(alarm bridge.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, alarm)
}

func (a *alarms) of(kind string) []bridge.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	var of []bridge.Alarm
	for _, one := range a.list {
		if one.Kind == kind {
			of = append(of, one)
		}
	}
	return of
}

// noStore is for tests in which nothing is stored.
type noStore struct{ t testing.TB }

func (s noStore) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{}, errors.New("nothing is stored here")
}

func (s noStore) Store(context.Context, string, *nats.Msg) (bridge.Receipt, error) {
	return bridge.Receipt{}, errors.New("nothing is stored here")
}

func (s noStore) StoreAll(context.Context, string, []*nats.Msg) []streams.Outcome { return nil }

// askRig is a reconciler that can be run.
type askRig struct {
	*reconciler
	t      testing.TB
	desk   *memoryDesk
	alarms *alarms
	logs   *observer.ObservedLogs
}

// newAskRig returns a reconciler of source get3w with the provider, and of the source
// other with the second one.
func newAskRig(t testing.TB, store Store, js jetstream.JetStream, providers ...fakeProvider) *askRig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	cfg := Config{Sources: map[string]SourceConfig{}, GiveUpAfter: 24 * time.Hour, Alarms: &alarms{}, Logger: zap.New(core)}
	for i, p := range providers {
		name := []string{"get3w", "other"}[i]
		src, err := source.New(source.Config{Name: name, Kind: "get3w"})
		require.NoError(t, err)
		cfg.Sources[name] = SourceConfig{Source: src, Asker: p, Rate: 5, PollAfter: 220 * time.Second, Query: []string{"ref", "tenant", "order"}}
	}
	return &askRig{reconciler: newReconciler(cfg, store, js), t: t, desk: newMemoryDesk(), alarms: cfg.Alarms.(*alarms), logs: logs}
}

// start runs it until stop is called, which returns what run does.
func (r *askRig) start() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- r.run(ctx, r.desk) }()
	return func() error {
		cancel()
		return <-done
	}
}

// add adds one that was seen so long ago.
func (r *askRig) add(id string, ago time.Duration) openRecord {
	rec := openRecord{Source: "get3w", ID: id, Model: "get3w/flux-dev", FirstSeen: time.Now().UTC().Add(-ago)}
	r.desk.add(r.reconciler, rec)
	return rec
}

func (r *askRig) count(result string) int {
	return int(testutil.ToFloat64(r.metrics.polls.WithLabelValues("get3w", result)))
}

// pass lets time pass in a bubble of synctest, where nobody waits for it.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // it is the bubble's time
}
