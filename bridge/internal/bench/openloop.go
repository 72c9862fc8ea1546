package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// openLoop stores requests of the pool at a fixed rate, whatever becomes of those
// before: each worker has its share of a common timetable. It returns how long
// each took from the time at which it should have been begun, so that a bridge that
// hangs is charged with all that came late for it.
func openLoop(ctx context.Context, workers []worker, rate int, p *pool, w window) ([]time.Duration, error) {
	begin := time.Now()
	interval := time.Second / time.Duration(rate)
	took := make([][]time.Duration, len(workers))
	group, ctx := errgroup.WithContext(ctx)
	for n, work := range workers {
		group.Go(func() error {
			for due := time.Duration(n) * interval; due < w.warm+w.measured; due += time.Duration(len(workers)) * interval {
				if err := pause(ctx, time.Until(begin.Add(due))); err != nil {
					return err
				}
				i, ok := p.take()
				if !ok {
					return fmt.Errorf("a pool of %d requests is too small", p.count)
				}
				if err := work(ctx, i); err != nil {
					return err
				}
				if due >= w.warm {
					took[n] = append(took[n], time.Since(begin.Add(due)))
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(took...), nil
}

// openLoopAt is openLoop over new connections to one address.
func openLoopAt(ctx context.Context, addr string, n, rate int, p *pool, w window) ([]time.Duration, error) {
	workers, hangUp, err := senders(ctx, addr, n, p)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	return openLoop(ctx, workers, rate, p, w)
}

// loopCount is how many requests openLoop sends.
func loopCount(rate int, w window) int {
	interval := time.Second / time.Duration(rate)
	return int((w.warm + w.measured + interval - 1) / interval)
}

// openPool has the requests for so many rounds of openLoop.
func openPool(rate int, w window, rounds int) (*pool, error) {
	p, err := newPool((int((w.warm+w.measured).Seconds()*float64(rate))+rate)*rounds, failedWebhook())
	if err != nil {
		return nil, err
	}
	p.renew(p.count)
	return p, nil
}
