package poller

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
	"github.com/hookspan/hookspan/internal/natstest"
)

// fakeProvider is a provider's API.
type fakeProvider func(ctx context.Context, id string) ([]byte, error)

func (p fakeProvider) Result(ctx context.Context, id string) ([]byte, error) { return p(ctx, id) }

func (p fakeProvider) HasKey() bool { return true }

// says is a provider that answers the same for every prediction.
func says(rest string) fakeProvider {
	return func(_ context.Context, id string) ([]byte, error) {
		return []byte(`{"id":"` + id + `","model":"get3w/flux-dev",` + rest + `}`), nil
	}
}

func fails(err error) fakeProvider {
	return func(context.Context, string) ([]byte, error) { return nil, err }
}

type madePoll struct {
	id string
	at time.Time
}

// polls remembers the polls of a provider.
type polls struct {
	mu   sync.Mutex
	list []madePoll
}

func (a *polls) of(p fakeProvider) fakeProvider {
	return func(ctx context.Context, id string) ([]byte, error) {
		a.mu.Lock()
		a.list = append(a.list, madePoll{id, time.Now()})
		a.mu.Unlock()
		return p(ctx, id)
	}
}

func (a *polls) all() []madePoll {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]madePoll(nil), a.list...)
}

func (a *polls) ids() string {
	var ids []string
	for _, one := range a.all() {
		ids = append(ids, one.id)
	}
	return strings.Join(ids, " ")
}

// memoryLeadership is a prediction store in memory; a write replaces one revision only.
type memoryLeadership struct {
	mu       sync.Mutex
	held     map[string]*Queue
	written  map[string]Record
	revision uint64
	fail     func(Record) error // error of the next save

	// passOver reports whether the prediction was brought back meanwhile.
	passOver func() bool

	behind atomic.Bool
	looks  atomic.Int64 // counts accesses
}

func newMemoryLeadership() *memoryLeadership {
	return &memoryLeadership{held: map[string]*Queue{}, written: map[string]Record{}}
}

func (d *memoryLeadership) Queues() map[string]*Queue {
	d.looks.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.held)
}

func (d *memoryLeadership) UpToDate() bool {
	d.looks.Add(1)
	return !d.behind.Load()
}

func (d *memoryLeadership) Save(ctx context.Context, rec Record, revision uint64) (uint64, error) {
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
	queue := d.held[rec.Source]
	it, open := queue.Get(rec.ID)
	switch {
	case !open:
		return 0, ErrNotOpen
	case it.Revision != revision:
		return 0, errors.New("another revision")
	}
	d.revision++
	if d.passOver != nil && d.passOver() {
		rec = Record{Source: rec.Source, ID: rec.ID, FirstSeen: rec.FirstSeen}
	}
	it.Record, it.Revision = rec, d.revision
	queue.Set(it)
	d.written[rec.ID] = rec
	return d.revision, nil
}

func (d *memoryLeadership) record(id string) Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written[id]
}

func (d *memoryLeadership) add(r *Poller, rec Record) {
	due := r.Due(rec)
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.held[rec.Source]
	if queue == nil {
		queue = NewQueue()
		d.held[rec.Source] = queue
	}
	d.revision++
	d.written[rec.ID] = rec
	queue.Set(Item{Record: rec, Revision: d.revision, Due: due})
}

func (d *memoryLeadership) remove(e *bridge.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if queue := d.held[e.Source]; queue != nil {
		queue.Remove(e.PredictionID)
	}
}

// memoryStates knows the predictions that it was given.
type memoryStates struct{ known sync.Map }

func (m *memoryStates) set(s *bridge.PredictionState) { m.known.Store(s.Source+"/"+s.ID, s) }

func (m *memoryStates) Get(_ context.Context, source, id string) (*bridge.PredictionState, error) {
	s, ok := m.known.Load(source + "/" + id)
	if !ok {
		return nil, bridge.ErrNotFound
	}
	return s.(*bridge.PredictionState), nil
}

// noStore is for tests in which nothing is stored.
type noStore struct{ t testing.TB }

func (s noStore) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{}, errors.New("nothing is stored here")
}

func (s noStore) Store(context.Context, string, *nats.Msg) (bridge.Receipt, error) {
	return bridge.Receipt{}, errors.New("nothing is stored here")
}

// rig is a poller that can be run.
type rig struct {
	*Poller
	states     *memoryStates
	t          testing.TB
	leadership *memoryLeadership
	alarms     *natstest.Alarms
	logs       *observer.ObservedLogs
}

// newRig returns a poller of the sources get3w and other, with one provider each.
func newRig(t testing.TB, store Store, js jetstream.JetStream, providers ...fakeProvider) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	cfg := Config{Sources: map[string]SourceConfig{}, GiveUpAfter: 24 * time.Hour, Alarms: &natstest.Alarms{}, Logger: zap.New(core)}
	for i, p := range providers {
		name := []string{"get3w", "other"}[i]
		src, err := source.New(source.Config{Name: name, Kind: "get3w"})
		require.NoError(t, err)
		cfg.Sources[name] = SourceConfig{Source: src, Provider: p, Rate: 5, PollAfter: 220 * time.Second, Query: []string{"ref", "tenant", "order"}}
	}
	states := &memoryStates{}
	return &rig{Poller: New(cfg, store, states, js), states: states, t: t, leadership: newMemoryLeadership(), alarms: cfg.Alarms.(*natstest.Alarms), logs: logs}
}

// start runs the poller until stop is called, which returns Run's error.
func (r *rig) start() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, r.leadership) }()
	return func() error {
		cancel()
		return <-done
	}
}

// add adds a prediction that was first seen so long ago.
func (r *rig) add(id string, ago time.Duration) Record {
	rec := Record{Source: "get3w", ID: id, Model: "get3w/flux-dev", FirstSeen: time.Now().UTC().Add(-ago)}
	r.leadership.add(r.Poller, rec)
	return rec
}

func (r *rig) count(result string) int {
	return int(testutil.ToFloat64(r.metrics.polls.WithLabelValues("get3w", result)))
}

// pass lets time pass in a bubble of synctest.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's time
}
