package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Worker stores request i of a pool and returns when it is durable.
type Worker func(ctx context.Context, i int) error

// Window is when a load is measured.
type Window struct{ Warm, Measured time.Duration }

// Sample is what one load gave.
type Sample struct {
	Rate           float64 // events per second
	P50, P99, P999 time.Duration
}

// Safe are the results of a 200 that say that the event is in the stream or in the journal.
var Safe = []string{"stored", "spooled"}

// Receiver takes webhooks in a process of its own: a bridge, or what it is compared with.
type Receiver struct {
	*Process
	Webhooks string // where it takes them, as host:port

	rig *Rig
}

// StartReceiver runs this program in a mode whose ready line names where it takes
// webhooks, under "webhooks" as host:port.
func (r *Rig) StartReceiver(name, mode string, args ...string) *Receiver {
	v := &Receiver{Process: r.StartMode(name, 0, mode, args...), rig: r}
	var ready struct {
		Webhooks string `json:"webhooks"`
	}
	Check(json.Unmarshal(v.Ready, &ready))
	v.Webhooks = ready.Webhooks
	return v
}

// Send connects n times to the receiver and calls use with as many workers. Each worker
// posts requests of the pool over a connection of its own, and returns an error unless
// the answer is 200 with one of the results, by default that the event is stored.
func (v *Receiver) Send(n int, p *Pool, results []string, use func(ctx context.Context, workers []Worker) error) {
	if len(results) == 0 {
		results = Safe[:1]
	}
	conns, workers := make([]Conn, n), make([]Worker, n)
	defer func() {
		for i := range conns {
			conns[i].Close()
		}
	}()
	for i := range conns {
		c := &conns[i]
		c.Addr, c.Timeout = v.Webhooks, AnswerTimeout
		Check(c.dial(v.rig.ctx))
		workers[i] = func(ctx context.Context, i int) error {
			a, err := c.Post(ctx, p.Request(i))
			if err != nil {
				return fmt.Errorf("sending a webhook: %w", err)
			}
			for _, result := range results {
				if a.Status == http.StatusOK && bytes.Contains(a.Body, []byte(`"result":"`+result+`"`)) {
					return nil
				}
			}
			return fmt.Errorf("sending a webhook: the answer was %d %q", a.Status, a.Body)
		}
	}
	if err := use(v.rig.ctx, workers); err != nil {
		Check(v.Explain(err))
	}
}

// Load has n connections send the pool's requests: see [Receiver.Send] and the function
// [Load].
func (v *Receiver) Load(n int, p *Pool, w Window, results ...string) (s Sample) {
	v.Send(n, p, results, func(ctx context.Context, workers []Worker) (err error) {
		s, err = Load(ctx, workers, p, w)
		return err
	})
	return s
}

// OpenLoop has n connections send them at a fixed rate: see the function [OpenLoop].
func (v *Receiver) OpenLoop(n, rate int, p *Pool, w Window, results ...string) (took []time.Duration) {
	v.Send(n, p, results, func(ctx context.Context, workers []Worker) (err error) {
		took, err = OpenLoop(ctx, workers, rate, p, w)
		return err
	})
	return took
}

// Load has all workers take requests of the pool, each the next one when it is done with
// one, until the time is up or the pool is empty. A worker that had nothing done by then
// counts what it is at, so that a disk which hangs for a while is measured too.
func Load(ctx context.Context, workers []Worker, p *Pool, w Window) (Sample, error) {
	from := time.Now().Add(w.Warm)
	until := from.Add(w.Measured)
	took := make([][]time.Duration, len(workers))
	ends := make([]time.Time, len(workers)) // of workers that did not end in time
	group, ctx := errgroup.WithContext(ctx)
	for n, work := range workers {
		group.Go(func() error {
			for ctx.Err() == nil {
				i, ok := p.Take()
				begin := time.Now()
				if !ok {
					ends[n] = begin
					return nil
				}
				if err := work(ctx, i); err != nil {
					return err
				}
				end := time.Now()
				late := end.After(until)
				if end.After(from) && (!late || len(took[n]) == 0) {
					took[n] = append(took[n], end.Sub(begin))
					if late {
						ends[n] = end
					}
				}
				if late {
					return nil
				}
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return Sample{}, err
	}
	if last := slices.MaxFunc(ends, time.Time.Compare); !last.IsZero() {
		until = last
	}
	lasted := until.Sub(from)
	if lasted <= 0 {
		return Sample{}, errors.New("nothing was measured: all requests were done while warming up")
	}
	all := slices.Concat(took...)
	return Sample{Rate: float64(len(all)) / lasted.Seconds(), P50: Percentile(all, 50), P99: Percentile(all, 99), P999: Percentile(all, 99.9)}, nil
}

// OpenLoop has the workers take requests of the pool at a fixed rate, whatever becomes of
// those before: each worker has its share of a common timetable. It returns how long each
// took from the time at which it should have been begun, so that a bridge that hangs is
// charged with all that came late for it.
func OpenLoop(ctx context.Context, workers []Worker, rate int, p *Pool, w Window) ([]time.Duration, error) {
	begin := time.Now()
	interval := time.Second / time.Duration(rate)
	took := make([][]time.Duration, len(workers))
	group, ctx := errgroup.WithContext(ctx)
	for n, work := range workers {
		group.Go(func() error {
			for due := time.Duration(n) * interval; due < w.Warm+w.Measured; due += time.Duration(len(workers)) * interval {
				if err := Pause(ctx, time.Until(begin.Add(due))); err != nil {
					return err
				}
				i, ok := p.Take()
				if !ok {
					return fmt.Errorf("a pool of %d requests is too small", p.Count)
				}
				if err := work(ctx, i); err != nil {
					return err
				}
				if due >= w.Warm {
					took[n] = append(took[n], time.Since(begin.Add(due)))
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(took...), err
}

// LoopCount is how many requests [OpenLoop] sends.
func LoopCount(rate int, w Window) int {
	interval := time.Second / time.Duration(rate)
	return int((w.Warm + w.Measured + interval - 1) / interval)
}

// Percentile is the value that p percent of all are at or below, 0 of none.
func Percentile[T time.Duration | float64](all []T, p float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
