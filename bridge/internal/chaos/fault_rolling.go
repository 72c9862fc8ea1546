package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// fitWait is the longest time until the balancer takes a bridge that is ready.
const fitWait = 10 * time.Second

// leaveTime lets the balancer ask a bridge that is being stopped some times, and
// leave it before it stops.
const leaveTime = 5 * healthEvery

func rollingRestart(ctx context.Context, l *lab) error {
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	var ports [2]int
	var addrs [2]string
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return err
		}
		addrs[i] = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	start := func(i int) (*hookspan, error) {
		name := fmt.Sprintf("bridge-%d", i)
		return l.startBridge(ctx, name, fmt.Sprintf(externalConfig, l.path("data-"+name), ports[i], leaveTime, n.url(), int64(maxEvents), int64(maxEvents)))
	}
	var bridges [2]*hookspan
	for i := range bridges {
		if bridges[i], err = start(i); err != nil {
			return err
		}
	}
	if err := waitStream(ctx, n); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		return err
	}
	balancer := startBalancer(ctx, listener, addrs[:]...)
	l.onClose(balancer.close)
	if err := balancer.waitFit(ctx); err != nil {
		return err
	}
	l.send(ctx)
	const rounds = 3
	for round := range rounds {
		for i := range bridges {
			if err := l.reach(ctx, float64(round*2+i+1)/(rounds*2+1)); err != nil {
				return err
			}
			if err := bridges[i].stop(ctx); err != nil {
				return err
			}
			if bridges[i], err = start(i); err != nil {
				return err
			}
			if err := balancer.waitFit(ctx); err != nil {
				return err
			}
		}
	}
	l.heal()
	l.note("each was restarted %d times; refused were %v", rounds, l.book.snapshot().refused)
	return l.settleAndAuditNATS(ctx, n.url())
}

// waitFit waits until all backends take webhooks.
func (b *balancer) waitFit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fitWait)
	defer cancel()
	for _, end := range b.backends {
		for !end.fit.Load() {
			if err := pause(ctx, healthEvery); err != nil {
				return errors.Join(fmt.Errorf("waiting until the balancer takes %s", end.addr), err)
			}
		}
	}
	return nil
}
