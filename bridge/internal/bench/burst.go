package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	burstRequests = 1000
	burstBar      = time.Second
	burstPause    = time.Second
)

// measureBurst has a thousand connections send at once.
func (b *bench) measureBurst(ctx context.Context) (f finding, err error) {
	p, err := newPool(burstRequests, failedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: b.inDir("burst")})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var last, median []float64
	for range b.rounds {
		p.renew(p.count)
		took, err := burst(ctx, c.addr, p)
		if err != nil {
			return f, c.explain(err)
		}
		last, median = append(last, inMs(percentile(took, 100))), append(median, inMs(percentile(took, 50)))
		if err := pause(ctx, burstPause); err != nil {
			return f, err
		}
	}
	f.text = fmt.Sprintf("%d connections that are open already send one webhook each at the same moment, to `hookspan serve` in a process of its own that had nothing to do before.", burstRequests)
	f.head = []string{"", "ms"}
	l := spreadOf(last)
	f.row("answered half of them after", integer(spreadOf(median)))
	f.row("answered the last after", integer(l))
	f.under(l, inMs(burstBar), "a burst of 1,000 requests is acknowledged within 1 s", integer(l)+" ms")
	return f, nil
}

// burst sends all of the pool at once and returns when each was answered.
func burst(ctx context.Context, addr string, p *pool) ([]time.Duration, error) {
	all, hangUp, err := dialAll(ctx, addr, p.count)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	took := make([]time.Duration, len(all))
	begin, now := time.Time{}, make(chan struct{})
	var group errgroup.Group
	for i, s := range all {
		group.Go(func() error {
			<-now
			err := s.send(p.request(i))
			took[i] = time.Since(begin)
			return err
		})
	}
	begin = time.Now()
	close(now)
	return took, group.Wait()
}
