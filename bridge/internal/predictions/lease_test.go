package predictions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/streams"
)

// fragile is the store of a process that can be killed and suspended.
type fragile struct {
	next Store

	// storing is held for reading by writers, so that no write is in flight when the
	// process is suspended.
	storing sync.RWMutex

	mu     sync.Mutex
	dead   bool
	resume chan struct{} // not nil: suspended
	// stored are the writes since the process was suspended; refused counts the failed
	// ones.
	stored, refused int
	blocks          int // that were to be stored
	// before is called before each block.
	before func(msgs []*nats.Msg) error
}

var errKilled = errors.New("the process is killed")

func (f *fragile) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// suspend returns when no write is in flight. Later writes wait until resume is called.
func (f *fragile) suspend() (resume func()) {
	f.storing.Lock()
	defer f.storing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resume = make(chan struct{})
	f.stored, f.refused, f.blocks = 0, 0, 0
	return sync.OnceFunc(func() { close(f.resume) })
}

// pass waits while the process is suspended, and holds storing unless it returns an error.
func (f *fragile) pass() error {
	for {
		f.storing.RLock()
		f.mu.Lock()
		dead, resume := f.dead, f.resume
		f.mu.Unlock()
		switch {
		case dead:
			f.storing.RUnlock()
			return errKilled
		case resume == nil:
			return nil
		}
		select {
		case <-resume:
			return nil
		default:
			f.storing.RUnlock()
			<-resume
		}
	}
}

func (f *fragile) count(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.stored++
	} else {
		f.refused++
	}
}

func (f *fragile) counts() (stored, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored, f.refused
}

func (f *fragile) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	if err := f.pass(); err != nil {
		return bridge.Receipt{}, err
	}
	defer f.storing.RUnlock()
	return f.next.Publish(ctx, e)
}

func (f *fragile) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	if err := f.pass(); err != nil {
		return bridge.Receipt{}, err
	}
	defer f.storing.RUnlock()
	got, err := f.next.Store(context.WithoutCancel(ctx), stream, m)
	f.count(err)
	return got, err
}

func (f *fragile) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	f.mu.Lock()
	f.blocks++
	f.mu.Unlock()
	err := f.pass()
	if err == nil {
		defer f.storing.RUnlock()
		err = f.beforeBlock(msgs)
	}
	if err != nil {
		out := make([]streams.Outcome, len(msgs))
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	out := f.next.StoreAll(context.WithoutCancel(ctx), stream, msgs)
	for _, o := range out {
		f.count(o.Err)
	}
	return out
}

// beforeBlock returns before's error for the block.
func (f *fragile) beforeBlock(msgs []*nats.Msg) error {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(msgs)
}

func leaders(all ...*process) (n int) {
	for _, p := range all {
		if p.leads() {
			n++
		}
	}
	return n
}

// Exactly one process leads. When it ends another takes over at once; when it is killed,
// after a while.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stores := []*fragile{{next: r.store}, {next: r.store}, {next: r.store}}
	var all []*process
	for i, s := range stores {
		all = append(all, r.start(fmt.Sprint(i), s))
		r.eventually(func() bool { return leaders(all...) == 1 })
	}
	require.True(t, all[0].leads())
	all[0].stop()
	r.eventually(func() bool { return leaders(all...) == 1 })

	first, second := 1, 2
	if all[2].leads() {
		first, second = 2, 1
	}
	r.publish(r.says("a", running))
	r.folded(all[first])
	stores[first].kill()
	all[first].stop()
	began := time.Now()
	require.False(t, all[second].leads())
	r.publish(r.says("a", finished))
	r.folded(all[second])
	require.Greater(t, time.Since(began), shortTimes.patience-2*shortTimes.renew, "nobody knows that it was killed")
	require.Equal(t, bridge.StatusCompleted, r.state("a").Status)
	require.Nil(t, r.record("a"))
	all[second].stop()
	require.JSONEq(t, `{}`, string(r.kept(keyLeader).Data), "it gave the lead up")
}

// A process that cannot reach the store ends its leadership before another one begins.
func TestWhoCannotRenewEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &fragile{next: r.store}
	p := r.start("one", store)
	r.eventually(p.leads)
	store.kill()
	r.eventually(func() bool { return !p.leads() })
	var have leaseRecord
	_, err := (&bucket{Reader: r.reader}).load(t.Context(), keyLeader, &have)
	require.NoError(t, err)
	require.Equal(t, "one", have.Process, "nobody else took it yet")
}

// A process that hangs and wakes up while another one leads writes nothing.
func TestSuspendedLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.times.hold, r.times.patience = 2*time.Second, 3*time.Second
	store := &fragile{next: r.store}
	old := r.start("old", store)
	r.publish(r.says("known", running))
	r.folded(old)
	resume := store.suspend()
	defer resume()
	r.publish(r.says("known", finished))
	r.eventually(func() bool { store.mu.Lock(); defer store.mu.Unlock(); return store.blocks > 0 })
	// The process hangs in front of the block that is being stored, and requests no more.
	for n := range 20 { // enough for a batch
		r.publish(r.says(fmt.Sprint(n), running))
	}
	next := r.start("next", r.store)
	r.folded(next)
	for n := range 20 {
		r.publish(r.says(fmt.Sprint(n), finished))
	}
	r.folded(next)
	r.eventually(func() bool { // the status is the new leader's too
		s, err := r.reader.Status(t.Context())
		return err == nil && s.Leader == "next"
	})
	entries, open := r.all(bridge.KeyEntry), r.all(bridge.KeyOpen)
	require.Len(t, entries, 21)
	require.Empty(t, open)
	led := next.metrics.leadership.Load()

	resume()
	r.eventually(func() bool { return !old.leads() })
	stored, refused := store.counts()
	require.Zero(t, stored)
	require.NotZero(t, refused)
	require.Equal(t, entries, r.all(bridge.KeyEntry))
	require.Empty(t, r.all(bridge.KeyOpen))
	require.Same(t, led, next.metrics.leadership.Load(), "the other one is not disturbed")
	old.stop()
	require.True(t, next.leads(), "nor is its lease given up by who has it no more")
}

// A crash between two writes that belong together leaves nothing half done.
func TestCrashBetweenEntryAndRecord(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]string{"opened": {running}, "closed": {running, finished}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			store := &fragile{next: r.store}
			p := r.start("one", store)
			r.eventually(p.leads)
			for i, what := range events {
				if i == len(events)-1 {
					store.mu.Lock()
					store.before = func(msgs []*nats.Msg) error {
						store.next.StoreAll(t.Context(), r.Names.PredictionsStream(), msgs[:1]) // of the entry alone
						store.kill()
						return errKilled
					}
					store.mu.Unlock()
					r.publish(r.says("a", what))
					r.eventually(func() bool { return !p.leads() })
					break
				}
				r.publish(r.says("a", what))
				r.folded(p)
			}
			p.stop()
			half := r.kept(entryKey("a"))
			require.NotNil(t, half)
			require.Equal(t, len(events) == 2, r.record("a") != nil, "the record is as it was")
			p = r.start("two", r.store)
			r.folded(p)
			require.Equal(t, len(events) == 1, r.record("a") != nil)
			require.Equal(t, half.Sequence, r.kept(entryKey("a")).Sequence, "what is in it is not written again")
		})
	}
}

// Redelivered events change nothing.
func TestDeliveredAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	for _, what := range []string{running, finished} {
		r.publish(r.says("a", what))
	}
	r.publish(r.says("b", running))
	r.folded(p)
	p.stop()
	revisions := func() []uint64 {
		return []uint64{r.kept(entryKey("a")).Sequence, r.kept(entryKey("b")).Sequence, r.kept(openKey("b")).Sequence}
	}
	before := revisions()
	_, err := r.JS.ResetConsumerToSequence(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer, 1)
	require.NoError(t, err)
	p = r.start("two", r.store)
	r.folded(p)
	require.Equal(t, before, revisions())
	require.Nil(t, r.record("a"))
}

// A former leader that could not reach the store need not wait for its own lease.
func TestWhoLedLastLeadsAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &fragile{next: r.store}
	l := NewLeader(r.JS, store, Config{Names: r.Names, Process: "one", Keep: time.Hour, Alarms: r.heard})
	l.times = shortTimes
	l.times.patience = time.Hour
	run(t, l)
	leads := func() bool { return l.metrics.leadership.Load() != nil }
	r.eventually(leads)
	store.kill()
	r.eventually(func() bool { return !leads() })
	store.mu.Lock()
	store.dead = false
	store.mu.Unlock()
	r.eventually(leads)
}

// run runs a leader until the test ends.
func run(t *testing.T, l *Leader) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

// forgetful is a store whose answers are lost, or that stores nothing.
type forgetful struct {
	inner
	lost, nothing bool
}

func (s *forgetful) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	switch {
	case s.nothing:
		return bridge.Receipt{}, fmt.Errorf("%w: %w", poller.ErrNotLeader, bridge.ErrUnknown)
	case s.lost:
		_, _ = s.inner.Store(ctx, stream, m)
		return bridge.Receipt{}, bridge.ErrUnknown
	}
	return s.inner.Store(ctx, stream, m)
}

// A written lease whose answer is lost is held; one that is not written, and still ours,
// can be written again.
func TestLostAnswerOfALease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &forgetful{inner: inner{r.store}}
	l := &lease{bucket: &bucket{Reader: r.reader, store: store}, times: shortTimes}
	store.lost = true
	require.NoError(t, l.acquire(t.Context()))
	require.NoError(t, l.renew(t.Context()))
	require.EqualValues(t, 2, l.n)
	store.lost, store.nothing = false, true
	err := l.renew(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, poller.ErrNotLeader)
	store.nothing = false
	require.NoError(t, l.renew(t.Context()))
	require.EqualValues(t, 3, l.n)
}
