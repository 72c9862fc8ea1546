package main

import (
	"context"
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
// done with one, until the time is up or the pool is empty.
func load(ctx context.Context, workers []worker, p *pool, w window) (sample, error) {
	from := time.Now().Add(w.warm)
	until := from.Add(w.measured)
	took := make([][]time.Duration, len(workers))
	ends := make([]time.Time, len(workers))
	group, ctx := errgroup.WithContext(ctx)
	for n, work := range workers {
		group.Go(func() error {
			ends[n] = until
			for ctx.Err() == nil {
				i, ok := p.take()
				if !ok {
					ends[n] = time.Now()
					return nil
				}
				begin := time.Now()
				if err := work(ctx, i); err != nil {
					return err
				}
				end := time.Now()
				if end.After(until) {
					return nil
				}
				if end.After(from) {
					took[n] = append(took[n], end.Sub(begin))
				}
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	all := slices.Concat(took...)
	// An empty pool ends all workers at about the same time.
	lasted := slices.MinFunc(ends, time.Time.Compare).Sub(from)
	return sample{
		rate: float64(len(all)) / lasted.Seconds(),
		p50:  percentile(all, 50),
		p99:  percentile(all, 99),
	}, nil
}
