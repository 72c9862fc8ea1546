package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// openLoop sends requests of the pool at a fixed rate, whatever becomes of those
// before: each connection has its share of a common timetable. It returns how long
// each took from the time at which it should have been sent, so that a bridge that
// hangs is charged with all that came late for it.
func openLoop(ctx context.Context, all []*sender, rate int, p *pool, w window, send func(*sender, []byte) error) ([]time.Duration, error) {
	begin := time.Now()
	interval := time.Second / time.Duration(rate)
	took := make([][]time.Duration, len(all))
	group, ctx := errgroup.WithContext(ctx)
	for n, s := range all {
		group.Go(func() error {
			for due := time.Duration(n) * interval; due < w.warm+w.measured; due += time.Duration(len(all)) * interval {
				if err := pause(ctx, time.Until(begin.Add(due))); err != nil {
					return err
				}
				i, ok := p.take()
				if !ok {
					return fmt.Errorf("a pool of %d requests is too small", p.count)
				}
				if err := send(s, p.request(i)); err != nil {
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
	all, hangUp, err := dialAll(ctx, addr, n)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	return openLoop(ctx, all, rate, p, w, (*sender).send)
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
