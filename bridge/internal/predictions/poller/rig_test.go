package poller

import (
	"cmp"
	"context"
	"errors"
	"slices"
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

func (p fakeProvider) Result(ctx context.Context, id, _ string) ([]byte, error) { return p(ctx, id) }

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

// memoryLeadership is a leader in memory.
type memoryLeadership struct {
	mu      sync.Mutex
	open    map[string]*memoryRecord // by source/id
	written map[string]Record        // by id, also when it is not open any more
	changed map[string]chan struct{}
	fail    func(Record) error // error of the next save

	behind atomic.Bool
	looks  atomic.Int64 // counts accesses
}

type memoryRecord struct {
	Record

	revision uint64
	due      time.Time
}

func newMemoryLeadership() *memoryLeadership {
	return &memoryLeadership{open: map[string]*memoryRecord{}, written: map[string]Record{}, changed: map[string]chan struct{}{}}
}

func (d *memoryLeadership) UpToDate() bool {
	d.looks.Add(1)
	return !d.behind.Load()
}

func (d *memoryLeadership) Due(_ context.Context, source string, now time.Time, limit int) (proved, claimed []string, err error) {
	d.looks.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	var due []*memoryRecord
	for _, m := range d.open {
		if m.Source == source && !m.due.After(now) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b *memoryRecord) int {
		return cmp.Or(cmp.Compare(a.Polls, b.Polls), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range due {
		if m.Claimed && len(claimed) < limit {
			claimed = append(claimed, m.ID)
		} else if !m.Claimed && len(proved) < limit {
			proved = append(proved, m.ID)
		}
	}
	return proved, claimed, nil
}

func (d *memoryLeadership) NextDue(_ context.Context, source string) (next time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.open {
		if m.Source == source && (next.IsZero() || m.due.Before(next)) {
			next = m.due
		}
	}
	return next, nil
}

func (d *memoryLeadership) PutOff(_ context.Context, source, id string, due time.Time, polls int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.open[source+"/"+id]; m != nil {
		m.due, m.Polls = due, polls
	}
	return nil
}

func (d *memoryLeadership) Changed(source string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel(source)
}

func (d *memoryLeadership) channel(source string) chan struct{} {
	if d.changed[source] == nil {
		d.changed[source] = make(chan struct{}, 1)
	}
	return d.changed[source]
}

func (d *memoryLeadership) Counts(_ context.Context, source string, now time.Time) (open, overdue int, oldest time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.open {
		if m.Source != source {
			continue
		}
		open++
		if !m.due.After(now) {
			overdue++
			if oldest.IsZero() || m.FirstSeen.Before(oldest) {
				oldest = m.FirstSeen
			}
		}
	}
	return open, overdue, oldest, nil
}

func (d *memoryLeadership) Load(_ context.Context, source, id string) (Record, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.open[source+"/"+id]; m != nil {
		return m.Record, m.revision, nil
	}
	return Record{}, 0, ErrNotOpen
}

func (d *memoryLeadership) Save(ctx context.Context, rec Record, revision uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(rec); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m := d.open[rec.Source+"/"+rec.ID]
	switch {
	case m == nil:
		return ErrNotOpen
	case m.revision != revision:
		return errors.New("another revision")
	}
	m.Record, m.revision = rec, revision+1
	d.written[rec.ID] = rec
	return nil
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
	d.written[rec.ID] = rec
	d.open[rec.Source+"/"+rec.ID] = &memoryRecord{Record: rec, due: due}
	select {
	case d.channel(rec.Source) <- struct{}{}:
	default:
	}
}

func (d *memoryLeadership) remove(e *bridge.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, e.Source+"/"+e.PredictionID)
}

// memoryStates knows the predictions that it was given.
type memoryStates struct{ known sync.Map }

func (m *memoryStates) set(s *bridge.PredictionState) { m.known.Store(s.Source+"/"+s.ID, s) }

func (m *memoryStates) Prediction(_ context.Context, source, id string) (*bridge.PredictionState, error) {
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
