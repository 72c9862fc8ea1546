package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// cutPace is how much faster the sender's time passes under power cuts: to copy a
// disk takes as long as a machine takes to start.
const cutPace = 12

func powerCut(ctx context.Context, l *lab) error {
	l.faster = min(l.faster, cutPace)
	d, err := l.newDisk(ctx, "disk", l.diskBytes())
	if err != nil {
		return err
	}
	b, err := l.startEmbedded(ctx, d.mount)
	if err != nil {
		return err
	}
	l.send(ctx)
	const cuts = 3
	for n := range cuts {
		if err := errors.Join(pause(ctx, l.uptime()), l.reach(ctx, float64(n+1)/(cuts+1))); err != nil {
			return err
		}
		l.heal()
		if err := d.cutPower(ctx, b.process, b.pid); err != nil {
			return err
		}
		if b, err = l.startEmbedded(ctx, d.mount); err != nil {
			return err
		}
		if err := l.book.waitRecovered(ctx); err != nil {
			return err
		}
	}
	l.note("cut %d times; the time to a 200 is the longest, with the copy of the disk and the start", cuts)
	return l.settleAndAudit(ctx, b)
}

func powerCutSpool(ctx context.Context, l *lab) error {
	l.faster = min(l.faster, cutPace)
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	d, err := l.newDisk(ctx, "disk", l.diskBytes())
	if err != nil {
		return err
	}
	b, err := l.startExternal(ctx, d.mount, n.url())
	if err != nil {
		return err
	}
	l.send(ctx)
	if err := l.reach(ctx, 0.2); err != nil {
		return err
	}
	n.kill()
	const cuts = 2
	for cut := range cuts {
		if err := errors.Join(pause(ctx, l.uptime()), l.reach(ctx, 0.3+0.3*float64(cut))); err != nil {
			return err
		}
		if err := d.cutPower(ctx, b.process, b.pid); err != nil {
			return err
		}
		if b, err = l.startExternal(ctx, d.mount, n.url()); err != nil {
			return err
		}
	}
	if err := errors.Join(pause(ctx, l.uptime()), l.reach(ctx, 0.9)); err != nil {
		return err
	}
	l.heal()
	if err := n.start(ctx); err != nil {
		return err
	}
	l.note("cut %d times while NATS was away, which came back last", cuts)
	return l.settleAndAuditNATS(ctx, n.url())
}

// stopWait is how long a process may take to be stopped by SIGSTOP.
const stopWait = 10 * time.Second

// cutPower leaves on the disk what a power cut would: everything that reached the
// device, and nothing that was only written. The process is stopped, the device
// copied, and the process killed without another word to its disk.
func (d *disk) cutPower(ctx context.Context, p *process, pid int) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stopping the bridge: %w", err)
	}
	if err := waitStopped(ctx, pid); err != nil {
		return err
	}
	rest := d.image + ".cut"
	if err := command(ctx, "cp", "--sparse=always", d.image, rest); err != nil {
		return err
	}
	p.kill()
	if err := errors.Join(d.unmount(ctx), os.Rename(rest, d.image)); err != nil {
		return err
	}
	return d.attach(ctx)
}

func waitStopped(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return fmt.Errorf("looking whether the bridge is stopped: %w", err)
		}
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "T") {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("waiting until the bridge is stopped: %w", err)
		}
	}
}
