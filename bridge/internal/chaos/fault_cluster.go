package main

import (
	"context"
	"errors"
	"time"
)

// startClustered has a bridge on three NATS servers under load.
func (l *lab) startClustered(ctx context.Context) (*cluster, error) {
	c, err := l.startCluster(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := l.startExternal(ctx, l.path("data"), c.urls()); err != nil {
		return nil, err
	}
	if err := c.waitCurrent(ctx); err != nil {
		return nil, err
	}
	l.send(ctx)
	return c, l.reach(ctx, 0.2)
}

func clusterLeader(ctx context.Context, l *lab) error {
	c, err := l.startClustered(ctx)
	if err != nil {
		return err
	}
	const times = 3
	for n := range times {
		if err := l.reach(ctx, 0.2+0.7*float64(n)/times); err != nil {
			return err
		}
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		l.heal() // it is over as soon as it is done
		leader.kill()
		if err := errors.Join(l.book.waitRecovered(ctx), pause(ctx, l.uptime()), leader.start(ctx), c.waitCurrent(ctx)); err != nil {
			return err
		}
	}
	l.note("the leader was killed %d times; the time to a 200 is the longest", times)
	return l.settleAndAuditNATS(ctx, c.urls())
}

func clusterQuorum(ctx context.Context, l *lab) error {
	c, err := l.startClustered(ctx)
	if err != nil {
		return err
	}
	for _, n := range c.nodes[1:] {
		n.kill()
	}
	err = l.outage(ctx, deadline)
	l.heal()
	for _, n := range c.nodes[1:] {
		err = errors.Join(err, n.start(ctx))
	}
	if err := errors.Join(err, c.waitCurrent(ctx)); err != nil {
		return err
	}
	return l.settleAndAuditNATS(ctx, c.urls())
}

func clusterSplit(ctx context.Context, l *lab) error {
	c, err := l.startClustered(ctx)
	if err != nil {
		return err
	}
	const times = 2
	for n := range times {
		if err := l.reach(ctx, 0.2+0.6*float64(n)/times); err != nil {
			return err
		}
		alone, err := c.serving(ctx)
		if err != nil {
			return err
		}
		// First routes that are closed, then ones that swallow everything.
		mode := cut
		if n > 0 {
			mode = swallowing
		}
		c.part(alone, mode)
		err = l.outage(ctx, time.Second)
		l.heal()
		c.part(alone, passing)
		if err := errors.Join(err, c.waitCurrent(ctx), l.book.waitRecovered(ctx)); err != nil {
			return err
		}
	}
	l.note("parted %d times, by closed connections and by ones that swallow everything", times)
	return l.settleAndAuditNATS(ctx, c.urls())
}
