package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// worker stores request i of a pool and returns when it is durable.
type worker func(ctx context.Context, i int) error

// window is when a load is measured.
type window struct {
	warm, measured time.Duration
}

// sample is what one load gave.
type sample struct {
	rate     float64 // events per second
	p50, p99 time.Duration
}

// load has all workers take requests of the pool, each the next one when it is
// done with one, until the time is up or the pool is empty. A worker that had
// nothing done by then counts what it is at, so that a disk which hangs for a
// while is measured too.
func load(ctx context.Context, workers []worker, p *pool, w window) (sample, error) {
	from := time.Now().Add(w.warm)
	until := from.Add(w.measured)
	took := make([][]time.Duration, len(workers))
	ends := make([]time.Time, len(workers)) // of workers that did not end in time
	group, ctx := errgroup.WithContext(ctx)
	for n, work := range workers {
		group.Go(func() error {
			for ctx.Err() == nil {
				i, ok := p.take()
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
		return sample{}, err
	}
	if last := slices.MaxFunc(ends, time.Time.Compare); !last.IsZero() {
		until = last
	}
	lasted := until.Sub(from)
	if lasted <= 0 {
		return sample{}, fmt.Errorf("nothing was measured: %d requests were done while warming up", p.count)
	}
	all := slices.Concat(took...)
	return sample{
		rate: float64(len(all)) / lasted.Seconds(),
		p50:  percentile(all, 50),
		p99:  percentile(all, 99),
	}, nil
}
