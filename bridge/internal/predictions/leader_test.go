package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	"github.com/hookspan/hookspan/internal/natstest"
)

const patience = 20 * time.Second

// shortTimes are of a lease that is taken over within a second.
var shortTimes = leaseTimes{look: 10 * time.Millisecond, renew: 50 * time.Millisecond, hold: 2 * time.Second, patience: 3 * time.Second, stuck: patience}

// rig is a server with prediction stores.
type rig struct {
	*streamtest.Bench

	t      *testing.T
	store  Store
	source *source.Source
	heard  *natstest.Alarms
	reader *Reader
	ctx    context.Context
	times  leaseTimes
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return rigOn(t, streamtest.Start(t, streamtest.Config()))
}

func rigOn(t *testing.T, b *streamtest.Bench) *rig {
	t.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	return &rig{Bench: b, t: t, store: b.Publisher(), source: src, heard: &natstest.Alarms{}, reader: NewReader(b.JS, b.Names), ctx: t.Context(), times: shortTimes}
}

// process is a process that may lead.
type process struct {
	*Leader

	t    *testing.T
	stop func() // as a shutdown does
	logs *observer.ObservedLogs
}

// fewCached is how many entries the leaders of tests keep in memory.
const fewCached = 256

// start starts a process of that name, which writes to the store.
func (r *rig) start(name string, store Store, change ...func(*Config)) *process {
	r.t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	cfg := Config{
		Names: r.Names, Process: name, Keep: time.Hour, GiveUpAfter: time.Hour, Alarms: r.heard, Logger: zap.New(core),
		Sources: map[string]poller.SourceConfig{"get3w": {Source: r.source}},
	}
	for _, c := range change {
		c(&cfg)
	}
	l := NewLeader(r.JS, store, cfg)
	l.times, l.cached = r.times, fewCached
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	p := &process{Leader: l, t: r.t, logs: logs}
	p.stop = sync.OnceFunc(func() { cancel(); require.NoError(r.t, <-done) })
	r.t.Cleanup(p.stop)
	return p
}

// Overdue predictions that cannot be polled raise an alarm.
func TestOverdueWithoutAPIIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start("one", r.store)
	r.publish(r.watches("pred_1", bridge.Watch{Deadline: time.Now().Add(-time.Minute)}))
	r.eventually(func() bool { return slices.Contains(r.heard.Kinds(), bridge.AlarmPolling) })
}

// A store that has fallen behind is not up to date, although it was a moment ago.
func TestFarBehindIsNotUpToDate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.folded(p)
	led := newLeadership(p.Leader)
	led.current.Store(1)
	require.True(t, led.UpToDate())
	led.behind.Store(blockMessages + 1)
	require.False(t, led.UpToDate())
}

func (p *process) leads() bool { return p.metrics.leadership.Load() != nil }

func (r *rig) eventually(what func() bool, why ...any) {
	r.t.Helper()
	require.Eventually(r.t, what, patience, 5*time.Millisecond, why...)
}

// folded waits until every stored event is folded.
func (r *rig) folded(p *process) {
	r.t.Helper()
	stream, err := r.JS.Stream(r.ctx, r.Names.EventsStream())
	require.NoError(r.t, err)
	last := stream.CachedInfo().State.LastSeq
	r.eventually(func() bool {
		t := p.metrics.leadership.Load()
		return t != nil && !t.rebuilding.Load() && t.foldedTo.Load() >= last
	}, "folded")
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

func (r *rig) loses(id string) *bridge.Event {
	r.t.Helper()
	lost := bridge.Lost{Source: "get3w", Prediction: id, Cause: bridge.DeadNotFound, Error: "it is not there", LostAt: time.Now().UTC()}
	e, err := lost.Event()
	require.NoError(r.t, err)
	return e
}

// again redrives an event from the prediction store's dead letters.
func (r *rig) again(e *bridge.Event, n string) {
	r.t.Helper()
	header := bridge.Again{Attempt: 1, Redrives: 1}.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{bridge.AgainID(bridge.PredictionsConsumer, e.ID, n)}
	_, err := r.JS.PublishMsg(r.ctx, &nats.Msg{
		Subject: r.Names.Again(bridge.PredictionsConsumer, r.Names.SubjectOf(e)), Header: nats.Header(header), Data: e.Body,
	})
	require.NoError(r.t, err)
}

func (r *rig) state(id string) *bridge.PredictionState {
	r.t.Helper()
	s, err := r.reader.Get(r.ctx, "get3w", id)
	require.NoError(r.t, err)
	return s
}

// kept returns the message of a key, nil for none.
func (r *rig) kept(key string) *jetstream.RawStreamMsg {
	r.t.Helper()
	stream, err := r.JS.Stream(r.ctx, r.Names.PredictionsStream())
	require.NoError(r.t, err)
	m, err := stream.GetLastMsgForSubject(r.ctx, r.Names.PredictionsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	require.NoError(r.t, err)
	return m
}

func openKey(id string) string  { return bridge.PredictionKey(bridge.KeyOpen, "get3w", id) }
func entryKey(id string) string { return bridge.PredictionKey(bridge.KeyEntry, "get3w", id) }

// record returns a prediction's open record, nil for none.
func (r *rig) record(id string) *poller.Record {
	r.t.Helper()
	m := r.kept(openKey(id))
	if m == nil || len(m.Data) == 0 {
		return nil
	}
	var rec poller.Record
	require.NoError(r.t, json.Unmarshal(m.Data, &rec))
	return &rec
}

// all returns every key with that first token, with its value.
func (r *rig) all(what string) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	b := &bucket{Reader: r.reader}
	require.NoError(r.t, b.scan(r.ctx, what+".>", 1, func(v value) error {
		if len(v.data) > 0 {
			out[v.key] = string(v.data)
		}
		return nil
	}))
	return out
}

const (
	running  = `"status":"processing"`
	finished = `"status":"completed","outputs":["https://cdn.get3w.com/a.png?sig=1"],"created_at":"2026-01-31T11:00:00Z","completed_at":"2026-01-31T11:00:03Z"`
)

func TestStoreFollowsAPrediction(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.publish(r.watches("a", bridge.Watch{Reference: "order 7", EstimatedDuration: 20}))
	r.folded(p)
	rec := r.record("a")
	require.NotNil(t, rec)
	require.InDelta(t, 20, rec.Estimate, 0)
	require.Empty(t, r.kept(entryKey("a")).Header.Get("Nats-TTL"), "an open one stays")

	r.publish(r.says("a", running))
	r.folded(p)
	require.Equal(t, bridge.StatusProcessing, r.state("a").Status)
	done := r.publish(r.says("a", finished))
	r.folded(p)
	s := r.state("a")
	require.Equal(t, bridge.StatusCompleted, s.Status)
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Equal(t, done.Sequence, s.Sequence)
	require.Regexp(t, `^3(600|5\d\d)s$`, r.kept(entryKey("a")).Header.Get("Nats-TTL"))
	require.Nil(t, r.record("a"))
	require.Regexp(t, `^([6-9]\d|[1-5]\d\d|600)s$`, r.kept(openKey("a")).Header.Get("Nats-TTL"), "the record leaves no trace, after some minutes")

	status, err := r.reader.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "one", status.Leader)
	r.eventually(func() bool {
		status, err := r.reader.Status(t.Context())
		return err == nil && status.Folded == done.Sequence && status.Behind == 0 && !status.Rebuilding && status.Sources["get3w"].Open == 0
	})
	durable, err := r.JS.Consumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer)
	require.NoError(t, err)
	r.eventually(func() bool {
		info, err := durable.Info(t.Context())
		return err == nil && info.AckFloor.Stream == done.Sequence
	}, "the janitor sees what is folded")
}

// A given up prediction is closed, and open again when its dead letter is redriven.
func TestLostAndRedriven(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	watch := r.watches("a", bridge.Watch{})
	r.publish(watch)
	r.folded(p)
	led := p.metrics.leadership.Load()
	it, ok := led.queue("get3w").Get("a")
	require.True(t, ok)
	it.Polls, it.NotFound, it.NotBefore = 9, 3, time.Now().Add(time.Hour)
	_, err := led.Save(t.Context(), it.Record, it.Revision)
	require.NoError(t, err)
	require.Equal(t, 9, r.record("a").Polls)
	r.publish(r.says("a", running))
	r.folded(p)
	require.Equal(t, 9, r.record("a").Polls, "an event does not change how often it was asked for")

	r.publish(r.loses("a"))
	r.folded(p)
	require.NotNil(t, r.state("a").Lost)
	require.NotEmpty(t, r.kept(entryKey("a")).Header.Get("Nats-TTL"))
	require.Nil(t, r.record("a"))
	_, err = led.Save(t.Context(), it.Record, it.Revision)
	require.ErrorIs(t, err, poller.ErrNotOpen)

	for n := range 3 { // the record may still be on its way out
		r.again(watch, fmt.Sprint(n))
		r.folded(p)
		require.Nil(t, r.state("a").Lost)
		require.Empty(t, r.kept(entryKey("a")).Header.Get("Nats-TTL"))
		rec := r.record("a")
		require.NotNil(t, rec)
		require.Zero(t, rec.Polls+rec.NotFound)
		require.Zero(t, rec.NotBefore, "it is asked for at once")
		require.EqualValues(t, 4+2*n, rec.Sequence, "the copy knows how often it was redriven")
		r.publish(r.loses("a"))
		r.folded(p)
	}
	require.Same(t, led, p.metrics.leadership.Load(), "nothing of that ends the leadership")
}

// A save over an old revision overwrites nothing that became known since.
func TestSaveKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.publish(r.says("a", running))
	r.folded(p)
	led := p.metrics.leadership.Load()
	old, _ := led.queue("get3w").Get("a")
	r.publish(r.watches("a", bridge.Watch{EstimatedDuration: 7}))
	r.folded(p)
	old.Polls = 1
	_, err := led.Save(t.Context(), old.Record, old.Revision)
	require.ErrorIs(t, err, errOldRevision)
	fresh, _ := led.queue("get3w").Get("a")
	fresh.Polls = 1
	revision, err := led.Save(t.Context(), fresh.Record, fresh.Revision)
	require.NoError(t, err)
	have, _ := led.queue("get3w").Get("a")
	require.Equal(t, revision, have.Revision)
	got := r.record("a")
	require.Equal(t, 1, got.Polls)
	require.InDelta(t, 7, got.Estimate, 0)
	require.EqualValues(t, 2, got.Sequence, "who announced it last")
}

// Messages that are no events are left out and hold up nothing.
func TestWhatIsNoEventIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	for _, header := range []nats.Header{nil, nats.Header(r.says("a", running).Header())} {
		if header != nil {
			header.Set("ce-source", "/sources/*")
		}
		_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: "hookspan.events.get3w.prediction.completed.x", Header: header, Data: []byte("{")})
		require.NoError(t, err)
	}
	r.publish(r.says("b", running))
	r.folded(p)
	require.Equal(t, bridge.StatusProcessing, r.state("b").Status)
	require.Len(t, r.all(bridge.KeyEntry), 1)
	require.Equal(t, 2, p.logs.FilterMessageSnippet("is no event").Len())
}
