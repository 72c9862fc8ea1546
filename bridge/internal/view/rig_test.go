package view

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// rig is a server with the streams of a bridge, and a folder for views.
type rig struct {
	*natstest.Streams

	t   testing.TB
	dir string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return &rig{Streams: natstest.Start(t), t: t, dir: t.TempDir()}
}

// viewed is a running view.
type viewed struct {
	*View

	r       *rig
	logs    *observer.ObservedLogs
	changes chan Change
	stop    func()
}

// start runs a view on the file until the test or stop ends it.
func (r *rig) start(name string, change ...func(*Config)) *viewed {
	r.t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	x := &viewed{r: r, logs: logs, changes: make(chan Change, 10_000)}
	cfg := Config{
		Path: filepath.Join(r.dir, name), Names: r.Names, JS: r.JS, Logger: zap.New(core),
		Changed: func(changes []Change) {
			for _, c := range changes {
				x.changes <- c
			}
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	x.View, err = Open(cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stopped := false
	x.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(r.t, <-done)
			require.NoError(r.t, x.Close())
		}
	}
	r.t.Cleanup(x.stop)
	return x
}

func (r *rig) eventually(ok func() bool, msg ...any) {
	r.t.Helper()
	require.Eventually(r.t, ok, patience, time.Millisecond, msg...)
}

// folded waits until the view has everything that the streams have.
func (x *viewed) folded() {
	x.r.t.Helper()
	asked := time.Now()
	for _, s := range x.streams {
		c, err := x.r.JS.Stream(x.r.t.Context(), s.name)
		require.NoError(x.r.t, err)
		last, created := c.CachedInfo().State.LastSeq, c.CachedInfo().Created
		x.r.eventually(func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.position.created.Equal(created) && (s.position.seq >= last || s.current.After(asked))
		}, "%s: %+v", s.name, x.Status())
	}
}

func (x *viewed) state(id string) *bridge.PredictionState {
	x.r.t.Helper()
	s, err := x.Prediction(x.r.t.Context(), "get3w", id)
	require.NoError(x.r.t, err)
	return s
}

// change waits for a change of the kind.
func (x *viewed) change(kind ChangeKind) Change {
	x.r.t.Helper()
	for {
		select {
		case c := <-x.changes:
			if c.Kind == kind {
				return c
			}
		case <-time.After(patience):
			x.r.t.Fatalf("nothing was told of a prediction that %s", kind)
		}
	}
}

const (
	running  = `"status":"processing"`
	finished = `"status":"completed","outputs":["https://cdn.get3w.com/a.png"],"created_at":"2026-01-31T11:00:00Z","completed_at":"2026-01-31T11:00:03Z","timings":{"inference":2000}`
)

// says is the provider's event about a prediction.
func says(t testing.TB, id, rest string) *bridge.Event {
	t.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	e, err := src.Read(source.Delivery{
		Body: []byte(`{"id":"` + id + `","model":"get3w/flux-dev",` + rest + `}`), ReceivedAt: foldtest.Noon, Origin: bridge.OriginWebhook, AnyAge: true,
	})
	require.NoError(t, err)
	return e
}

func watched(t testing.TB, id string, w bridge.Watch) *bridge.Event {
	t.Helper()
	w.Source, w.Prediction, w.Model = "get3w", id, "get3w/flux-dev"
	e, err := w.Event(foldtest.Noon)
	require.NoError(t, err)
	return e
}

func (r *rig) publish(events ...*bridge.Event) (last bridge.Receipt) {
	r.t.Helper()
	for _, e := range events {
		var err error
		last, err = r.Publish(r.t.Context(), e)
		require.NoError(r.t, err)
	}
	return last
}

// again publishes a copy for a consumer.
func (r *rig) again(consumer string, e *bridge.Event, a bridge.Again) {
	r.t.Helper()
	_, err := r.JS.PublishMsg(r.t.Context(), &nats.Msg{
		Subject: r.Names.Again(consumer, r.Names.SubjectOf(e)), Header: nats.Header(a.Header(e.Header())), Data: e.Body,
	})
	require.NoError(r.t, err)
}

// deadStream is that of dead letters.
func (v *View) deadStream() *stream {
	return v.streams[slices.IndexFunc(v.streams, func(s *stream) bool { return s.name == v.cfg.Names.DeadStream() })]
}
