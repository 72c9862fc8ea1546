package await_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkWake measures from the store's acknowledgement of a prediction's end until its
// waiter goes on, beside other waiters.
func BenchmarkWake(b *testing.B) {
	for _, waiters := range []int{1, 5000} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			s := setup(b)
			ctx, cancel := context.WithCancel(b.Context())
			var others sync.WaitGroup
			for i := range waiters - 1 {
				others.Go(func() { _, _ = s.hub.Wait(ctx, "get3w", fmt.Sprintf("other_%d", i)) })
			}
			s.eventually(func() bool { return s.hub.Waiting() == waiters-1 })
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprintf("pred_%d", i)
				woke := make(chan time.Time, 1)
				go func() {
					_, _ = s.hub.Wait(ctx, "get3w", id)
					woke <- time.Now()
				}()
				s.eventually(func() bool { return s.hub.Waiting() == waiters && s.consumers() == 1 })
				s.tell(id, "completed")
				acknowledged := time.Now()
				took = append(took, max(0, (<-woke).Sub(acknowledged)))
			}
			cancel()
			others.Wait()
			report(b, took)
		})
	}
}

// BenchmarkWakeAll measures the same for 5,000 waiters, woken at a rate or as fast as
// events can be stored.
func BenchmarkWakeAll(b *testing.B) {
	for _, rate := range []int{1000, 2000, math.MaxInt} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) { wakeAll(b, 5000, time.Second/time.Duration(rate)) })
	}
}

func wakeAll(b *testing.B, waiters int, every time.Duration) {
	s := setup(b)
	var took []time.Duration
	for round := 0; b.Loop(); round++ {
		acknowledged, woke := make([]time.Time, waiters), make([]time.Time, waiters)
		var waiting, storing sync.WaitGroup
		id := func(i int) string { return fmt.Sprintf("pred_%d_%d", round, i) }
		for i := range waiters {
			waiting.Go(func() {
				_, _ = s.hub.Wait(context.Background(), "get3w", id(i))
				woke[i] = time.Now()
			})
		}
		s.eventually(func() bool { return s.hub.Waiting() == waiters && s.consumers() == 1 })
		next, began := make(chan int), time.Now()
		for range 32 {
			storing.Go(func() {
				for i := range next {
					s.tell(id(i), "completed")
					acknowledged[i] = time.Now()
				}
			})
		}
		for i := range waiters {
			<-time.After(time.Until(began.Add(time.Duration(i) * every)))
			next <- i
		}
		close(next)
		storing.Wait()
		waiting.Wait()
		for i := range waiters {
			took = append(took, max(0, woke[i].Sub(acknowledged[i])))
		}
	}
	report(b, took)
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	ms := func(share float64) float64 { return took[int(share*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(ms(0.5), "ms-p50")
	b.ReportMetric(ms(0.99), "ms-p99")
	b.ReportMetric(ms(1), "ms-max")
}
