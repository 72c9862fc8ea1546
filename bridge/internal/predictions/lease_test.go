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
)

// fragile is the store of a process that can be killed and suspended.
type fragile struct {
	next poller.Store

	// storing is held for reading by writers, so that no write is in flight when the
	// process is suspended.
	storing sync.RWMutex

	mu     sync.Mutex
	dead   bool
	resume chan struct{} // not nil: suspended
	// stored are the writes since the process was suspended; refused counts the failed
	// ones.
	stored, refused int
	waiting         int // writes that were to be made since
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
	f.stored, f.refused, f.waiting = 0, 0, 0
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
		f.mu.Lock()
		f.waiting++
		f.mu.Unlock()
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
	stores[first].kill()
	all[first].stop()
	began := time.Now()
	require.False(t, all[second].leads())
	r.eventually(all[second].leads)
	require.Greater(t, time.Since(began), shortTimes.patience-shortTimes.hold, "nobody knows that it was killed")
	all[second].stop()
	require.Empty(t, r.lease().Holder, "it gave the lead up")
}

// A process that cannot reach the bucket ends its leadership before another one begins.
func TestWhoCannotRenewEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &fragile{next: r.store}
	p := r.start("one", store)
	r.eventually(p.leads)
	store.kill()
	r.eventually(func() bool { return !p.leads() })
	require.Equal(t, "one", r.lease().Process, "nobody else took it yet")
}

// A process that hangs before it writes a poll down, and wakes up while another one leads,
// writes nothing and polls nobody.
func TestSuspendedLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &fragile{next: r.store}
	old := r.start("old", store)
	r.eventually(old.leads)
	resume := store.suspend()
	defer resume()
	r.publish(r.watches("a", bridge.Watch{Deadline: time.Now().Add(-time.Hour)}))
	r.eventually(func() bool { store.mu.Lock(); defer store.mu.Unlock(); return store.waiting > 0 })
	next := r.start("next", r.store)
	r.eventually(func() bool { rec := r.record("a"); return rec != nil && rec.Said != "" }, "polled by the other one")
	rec := r.record("a")
	led := next.current.Load()

	resume()
	r.eventually(func() bool { return !old.leads() })
	stored, refused := store.counts()
	require.Zero(t, stored)
	require.NotZero(t, refused)
	require.Equal(t, rec, r.record("a"))
	require.Equal(t, []string{"a"}, r.polled())
	require.Same(t, led, next.current.Load(), "the other one is not disturbed")
	old.stop()
	require.True(t, next.leads(), "nor is its lease given up by who has it no more")
	r.eventually(func() bool { return r.lease().Process == "next" })
}

// A former leader that could not reach the bucket need not wait for its own lease.
func TestWhoLedLastLeadsAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.times.patience = time.Hour
	store := &fragile{next: r.store}
	p := r.start("one", store)
	r.eventually(p.leads)
	store.kill()
	r.eventually(func() bool { return !p.leads() })
	store.mu.Lock()
	store.dead = false
	store.mu.Unlock()
	r.eventually(p.leads)
}

// forgetful is a store whose answers are lost, or that stores nothing.
type forgetful struct {
	next          poller.Store
	lost, nothing bool
}

func (s *forgetful) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return s.next.Publish(ctx, e)
}

func (s *forgetful) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	switch {
	case s.nothing:
		return bridge.Receipt{}, fmt.Errorf("%w: %w", poller.ErrNotLeader, bridge.ErrUnknown)
	case s.lost:
		_, _ = s.next.Store(ctx, stream, m)
		return bridge.Receipt{}, bridge.ErrUnknown
	}
	return s.next.Store(ctx, stream, m)
}

// A written lease whose answer is lost is held; one that is not written, and still ours,
// can be written again.
func TestLostAnswerOfALease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &forgetful{next: r.store}
	l := &lease{bucket: r.bucket(store), times: shortTimes}
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
