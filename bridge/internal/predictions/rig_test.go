package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/natstest"
)

const patience = 30 * time.Second

// shortTimes are of a lease that is taken over within seconds.
var shortTimes = leaseTimes{look: 10 * time.Millisecond, renew: 50 * time.Millisecond, hold: 2 * time.Second, patience: 3 * time.Second, stuck: patience}

// rig is a server with processes that may lead, and the provider that they poll.
type rig struct {
	*streamtest.Bench

	t      *testing.T
	dir    string
	store  poller.Store
	source *source.Source
	heard  *natstest.Alarms
	ctx    context.Context
	times  leaseTimes

	mu     sync.Mutex
	polls  []string
	answer func(id string) ([]byte, error)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return rigOn(t, streamtest.Start(t, streamtest.Config()))
}

func rigOn(t *testing.T, b *streamtest.Bench) *rig {
	t.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	return &rig{
		Bench: b, t: t, dir: t.TempDir(), store: b.Publisher(), source: src, heard: &natstest.Alarms{}, ctx: t.Context(), times: shortTimes,
		answer: func(id string) ([]byte, error) { return []byte(`{"id":"` + id + `","status":"processing"}`), nil },
	}
}

// Result implements [poller.Provider].
func (r *rig) Result(_ context.Context, id, _ string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polls = append(r.polls, id)
	return r.answer(id)
}

// HasKey implements [poller.Provider].
func (r *rig) HasKey() bool { return true }

func (r *rig) polled() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.polls...)
}

func (r *rig) answers(answer func(id string) ([]byte, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// process is a process that may lead, with its view.
type process struct {
	*Leader

	view *view.View
	stop func() // as a shutdown does
	logs *observer.ObservedLogs
}

// start starts a process of that name, which writes to the store. Its view is that of the
// name.
func (r *rig) start(name string, store poller.Store, change ...func(*Config)) *process {
	r.t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	cfg := Config{
		Names: r.Names, Process: name, Keep: time.Hour, GiveUpAfter: time.Hour, Alarms: r.heard, Logger: zap.New(core),
		Sources: map[string]poller.SourceConfig{"get3w": {Source: r.source, Provider: r}},
	}
	for _, c := range change {
		c(&cfg)
	}
	l := NewLeader(r.JS, store, cfg)
	l.times = r.times
	v, err := view.Open(view.Config{
		Path: filepath.Join(r.dir, name+".db"), Keep: cfg.Keep, Names: r.Names, JS: r.JS, Due: l.Due, Changed: l.Changed, Logger: zap.New(core),
		Restore: func(ctx context.Context, put func(*bridge.PredictionState) error) error {
			return Kept(ctx, r.JS, r.Names, put)
		},
	})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = v.Run(ctx) })
	done.Go(func() { _ = l.Run(ctx, v) })
	p := &process{Leader: l, view: v, logs: logs}
	p.stop = sync.OnceFunc(func() { cancel(); done.Wait(); require.NoError(r.t, v.Close()) })
	r.t.Cleanup(p.stop)
	return p
}

func (p *process) leads() bool { return p.current.Load() != nil }

func (r *rig) eventually(what func() bool, why ...any) {
	r.t.Helper()
	require.Eventually(r.t, what, patience, 5*time.Millisecond, why...)
}

// folded waits until the process's view has every stored event.
func (r *rig) folded(p *process) {
	r.t.Helper()
	stream, err := r.JS.Stream(r.ctx, r.Names.EventsStream())
	require.NoError(r.t, err)
	last := stream.CachedInfo().State.LastSeq
	r.eventually(func() bool { return p.view.Position().Folded >= last }, "folded")
}

func (r *rig) publish(e *bridge.Event) bridge.Receipt {
	r.t.Helper()
	got, err := r.store.Publish(r.ctx, e)
	require.NoError(r.t, err)
	return got
}

// says is an event of the provider.
func (r *rig) says(id, rest string) *bridge.Event {
	r.t.Helper()
	e, err := r.source.Read(source.Delivery{
		Body: []byte(`{"id":"` + id + `","model":"get3w/flux-dev",` + rest + `}`), ReceivedAt: time.Now(), Origin: bridge.OriginWebhook, AnyAge: true,
	})
	require.NoError(r.t, err)
	return e
}

func (r *rig) watches(id string, w bridge.Watch) *bridge.Event {
	r.t.Helper()
	w.Source, w.Prediction, w.Model = "get3w", id, "get3w/flux-dev"
	e, err := w.Event(time.Now())
	require.NoError(r.t, err)
	return e
}

// overdue announces a prediction that should have ended long ago.
func (r *rig) overdue(id string) {
	r.t.Helper()
	r.publish(r.watches(id, bridge.Watch{Deadline: time.Now().Add(-time.Hour)}))
}

// again redrives an event from the dead letters of predictions.
func (r *rig) again(e *bridge.Event, n string) uint64 {
	r.t.Helper()
	header := bridge.Again{Attempt: 1, Redrives: 1}.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{bridge.AgainID(bridge.PredictionsConsumer, e.ID, n)}
	ack, err := r.JS.PublishMsg(r.ctx, &nats.Msg{
		Subject: r.Names.Again(bridge.PredictionsConsumer, r.Names.SubjectOf(e)), Header: nats.Header(header), Data: e.Body,
	})
	require.NoError(r.t, err)
	return ack.Sequence
}

func (r *rig) bucket(store poller.Store) *bucket {
	return newBucket(r.JS, r.Names, store, r.heard, zap.NewNop())
}

func (r *rig) lease() leaseRecord {
	r.t.Helper()
	have, _, err := load[leaseRecord](r.ctx, r.bucket(r.store), keyLeader)
	require.NoError(r.t, err)
	return have
}

// kept returns the message of a key, nil for none.
func (r *rig) kept(key string) *jetstream.RawStreamMsg {
	r.t.Helper()
	stream, err := r.JS.Stream(r.ctx, r.Names.PollsStream())
	require.NoError(r.t, err)
	m, err := stream.GetLastMsgForSubject(r.ctx, r.Names.PollsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	require.NoError(r.t, err)
	return m
}

func pollKey(id string) string { return bridge.PredictionKey(bridge.KeyPoll, "get3w", id) }
func openKey(id string) string { return bridge.PredictionKey(bridge.KeyOpen, "get3w", id) }

// record returns the record of a prediction's polls, nil for none.
func (r *rig) record(id string) *poller.Record {
	r.t.Helper()
	m := r.kept(pollKey(id))
	if m == nil {
		return nil
	}
	var rec poller.Record
	require.NoError(r.t, json.Unmarshal(m.Data, &rec))
	return &rec
}

func (r *rig) state(p *process, id string) *bridge.PredictionState {
	r.t.Helper()
	s, err := p.view.Prediction(r.ctx, "get3w", id)
	require.NoError(r.t, err)
	return s
}

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("pred_", i))
	}
	return all
}

const (
	running  = `"status":"processing"`
	finished = `"status":"completed","outputs":["https://cdn.get3w.com/a.png?sig=1"],"created_at":"2026-01-31T11:00:00Z","completed_at":"2026-01-31T11:00:03Z"`
)
