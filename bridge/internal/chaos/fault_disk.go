package main

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// fsyncDelay is what an ordinary cloud disk takes for an fsync.
const fsyncDelay = "2000" // µs

func slowDisk(ctx context.Context, l *lab) error {
	b, err := l.startEmbedded(ctx, l.path("data"), "strace", "-f", "--seccomp-bpf", "-o", "/dev/null",
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter="+fsyncDelay)
	if err != nil {
		return err
	}
	begun := time.Now()
	l.send(ctx)
	if err := l.reach(ctx, 1); err != nil {
		return err
	}
	l.note("%.0f webhooks a second were acknowledged", float64(l.book.snapshot().acknowledged)/time.Since(begun).Seconds())
	return l.settleAndAudit(ctx, b)
}

// diskBytes is a disk with room for all the events of a fault, and what is beside
// them.
func (l *lab) diskBytes() int64 { return 512<<20 + int64(l.events)*24<<10 }

func hungDisk(ctx context.Context, l *lab) error {
	d, err := l.newDisk(ctx, "disk", l.diskBytes())
	if err != nil {
		return err
	}
	b, err := l.startEmbedded(ctx, d.mount)
	if err != nil {
		return err
	}
	l.send(ctx)
	// Shorter than the deadline of an answer, and longer.
	// In the end the bridge is killed in one: what was not synced then is not there.
	hangs := []time.Duration{3 * time.Second, time.Second, 7 * time.Second}
	for i, hang := range hangs {
		if err := l.reach(ctx, float64(i+1)/float64(len(hangs)+1)); err != nil {
			return err
		}
		if err := d.freeze(ctx); err != nil {
			return err
		}
		err := errors.Join(pause(ctx, hang), d.thaw(ctx))
		l.heal()
		if err := errors.Join(err, l.book.waitRecovered(ctx)); err != nil {
			return err
		}
	}
	l.note("it hung for %v", hangs)
	if b, err = l.killHung(ctx, d, b); err != nil {
		return err
	}
	return l.settleAndAudit(ctx, b)
}

// killHung kills the bridge while the disk hangs, and starts it again.
func (l *lab) killHung(ctx context.Context, d *disk, b *hookspan) (*hookspan, error) {
	if err := d.freeze(ctx); err != nil {
		return nil, err
	}
	err := errors.Join(pause(ctx, time.Second), b.signal(syscall.SIGKILL), d.thaw(ctx))
	l.heal()
	b.kill()
	if err != nil {
		return nil, err
	}
	l.note("and for 1s, at the end of which the bridge was killed")
	return l.startEmbedded(ctx, d.mount)
}

// bridgePace is how much faster the sender's time passes where the bridge needs
// some seconds to see that something is over: they are not scaled.
const bridgePace = 4

// fullFor is how long a disk is full, once that was noticed.
const fullFor = 3 * time.Second

func fullDisk(ctx context.Context, l *lab) error {
	l.faster = min(l.faster, bridgePace)
	d, err := l.newDisk(ctx, "disk", l.diskBytes())
	if err != nil {
		return err
	}
	b, err := l.startEmbedded(ctx, d.mount)
	if err != nil {
		return err
	}
	l.send(ctx)
	const times = 2
	for n := range times {
		if err := l.reach(ctx, float64(n+1)/(times+1)); err != nil {
			return err
		}
		before := l.book.snapshot().refused["503"]
		empty, err := d.fill()
		if err != nil {
			return err
		}
		err = errors.Join(l.book.waitRefused(ctx, "503", before+1), pause(ctx, fullFor), empty())
		l.heal()
		if err := errors.Join(err, l.book.waitRecovered(ctx)); err != nil {
			return err
		}
	}
	if !b.alive() {
		l.wrong("the bridge has ended:\n%s", tail(b.log))
	}
	l.note("full %d times for %v; the process is the same", times, fullFor)
	return l.settleAndAudit(ctx, b)
}
