package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"
)

// settleAndAuditNATS ends a fault of a bridge whose events are in the NATS at url.
func (l *lab) settleAndAuditNATS(ctx context.Context, url string) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	nc, err := connectNATS(url)
	if err != nil {
		return err
	}
	return l.audit(ctx, nc)
}

// externalOutage has a bridge with an external NATS, reached by way of address,
// go through one outage in the midst of the load. Without a place to go, attempts
// would end after the given time.
func (l *lab) externalOutage(ctx context.Context, n *node, url string, attempt time.Duration, begin, end func() error) error {
	if _, err := l.startExternal(ctx, l.path("data"), url); err != nil {
		return err
	}
	l.send(ctx)
	if err := errors.Join(l.reach(ctx, 0.3), begin()); err != nil {
		return err
	}
	err := l.outage(ctx, attempt)
	l.heal()
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	return l.settleAndAuditNATS(ctx, n.url())
}

func natsStopped(ctx context.Context, l *lab) error {
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	return l.externalOutage(ctx, n, n.url(), time.Second,
		func() error { return n.stop(ctx) },
		func() error { return n.start(ctx) })
}

func natsFrozen(ctx context.Context, l *lab) error {
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	return l.externalOutage(ctx, n, n.url(), deadline,
		func() error { return n.signal(syscall.SIGSTOP) },
		func() error { return n.signal(syscall.SIGCONT) })
}

func halfOpen(ctx context.Context, l *lab) error {
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	p, err := newProxy(ctx, strings.TrimPrefix(n.url(), "nats://"))
	if err != nil {
		return err
	}
	l.onClose(p.close)
	return l.externalOutage(ctx, n, "nats://"+p.addr(), deadline,
		func() error { p.set(swallowing); return nil },
		func() error { p.set(passing); return nil })
}
