package forward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errTarget = errors.New("target")

// newTestBreaker opens after two failures, for 10 s at first and 40 s at most.
func newTestBreaker() (*breaker, *[]change) {
	var changes []change
	b := newBreaker(Breaker{Failures: 2, Pause: 10 * time.Second, MaxPause: 40 * time.Second}, func(c change) { changes = append(changes, c) })
	return b, &changes
}

func (b *breaker) mustEnter(t *testing.T) *pass {
	t.Helper()
	p, left := b.enter()
	require.NotNil(t, p)
	require.Zero(t, left)
	return p
}

// fail opens the breaker and returns the pause.
func (b *breaker) fail(t *testing.T) time.Duration {
	t.Helper()
	for {
		p, left := b.enter()
		if p == nil {
			return left
		}
		p.failed(errTarget, 0)
	}
}

func TestBreakerCountsFailuresInARow(t *testing.T) {
	t.Parallel()
	b, changes := newTestBreaker()
	for range 5 {
		b.mustEnter(t).failed(errTarget, 0)
		b.mustEnter(t).succeeded()
		b.mustEnter(t).abandon()
	}
	require.Equal(t, closed, b.current())
	require.Empty(t, *changes)
	b.fail(t)
	require.Len(t, *changes, 1)
	require.Equal(t, open, (*changes)[0].state)
	require.ErrorIs(t, (*changes)[0].err, errTarget)
}

func TestBreakerPausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, changes := newTestBreaker()
		began := time.Now()
		for i, seconds := range []int{10, 20, 40, 40, 40} {
			longest := time.Duration(seconds) * time.Second
			left := b.fail(t)
			require.GreaterOrEqual(t, left, longest/2)
			require.LessOrEqual(t, left, longest)
			require.Equal(t, i+1, (*changes)[i].openings)
			require.True(t, began.Equal((*changes)[i].since), "since it opened first")
			<-time.After(left)
			probe := b.mustEnter(t)
			since, err := b.blocked()
			probe.abandon()
			require.True(t, began.Equal(since), "also while one event is tried")
			require.ErrorIs(t, err, errTarget)
		}
		b.mustEnter(t).succeeded()
		require.Equal(t, closed, b.current())
		since, _ := b.blocked()
		require.Zero(t, since)
		require.LessOrEqual(t, b.fail(t), 10*time.Second, "it begins anew")
	})
}

func TestBreakerDoesAsTheTargetAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for least, want := range map[time.Duration]time.Duration{25 * time.Second: 25 * time.Second, time.Hour: 40 * time.Second} {
			b, _ := newTestBreaker()
			b.mustEnter(t).failed(errTarget, least)
			b.mustEnter(t).failed(errTarget, least)
			_, left := b.enter()
			require.Equal(t, want, left)
		}
	})
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		late := b.mustEnter(t)
		<-time.After(b.fail(t))
		probe := b.mustEnter(t)
		for range 3 {
			p, left := b.enter()
			require.Nil(t, p)
			require.Equal(t, probeWait, left)
		}
		late.succeeded()
		late.failed(errTarget, 0)
		late.abandon()
		require.Equal(t, halfOpen, b.current(), "what began before says nothing now")
		probe.abandon()
		probe = b.mustEnter(t)
		p, _ := b.enter()
		require.Nil(t, p)
		probe.succeeded()
		b.mustEnter(t)
		b.mustEnter(t)
	})
}

// Waiters are let through one by one until the target works, then all.
func TestBreakerWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.wait(ctx)
		left := b.fail(t)
		through := make(chan int, 10)
		for i := range 4 {
			go func() { b.wait(ctx); through <- i }()
		}
		synctest.Wait()
		require.Empty(t, through)
		<-time.After(left)
		synctest.Wait()
		require.Len(t, through, 1)
		<-through

		b.wait(ctx) // its fetch brought nothing, so it may try again
		<-time.After(time.Hour)
		synctest.Wait()
		require.Empty(t, through, "without an event there is no probe")

		probe := b.mustEnter(t)
		go func() { b.wait(ctx); through <- 5 }()
		synctest.Wait()
		require.Empty(t, through, "while there is one nobody else fetches")
		probe.failed(errTarget, 0)
		<-time.After(40 * time.Second)
		synctest.Wait()
		require.Len(t, through, 1)
		<-through
		probe = b.mustEnter(t)
		probe.abandon()
		synctest.Wait()
		require.Len(t, through, 1, "one more, for a probe that ended without a result")
		<-through
		b.mustEnter(t).succeeded()
		synctest.Wait()
		require.Len(t, through, 2, "all")
	})
}

func TestBreakerWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		b.fail(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		b.wait(ctx)
		require.Equal(t, time.Second, time.Since(began))
	})
}
