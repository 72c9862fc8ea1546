package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// scrubSeconds is how long one scrub is to take. Its pace is that of a day for a
	// stream that is full, so the limit is made for it.
	scrubSeconds = 10
	secondsOfDay = 24 * 60 * 60
	// leastScrub is the pace that a scrub has at least, in bytes a second.
	leastScrub = 128 << 10
	// startAndScrub is a patience for a start and one scrub, on a busy machine.
	startAndScrub = 90 * time.Second
	// severalBlocks is how many events take so many blocks that the one which is
	// damaged under a running bridge is neither the newest nor the first that the
	// scrub reads: the server has those in memory, where they are whole.
	severalBlocks, severalRate = 20_000, 3000
)

func bitFlip(ctx context.Context, l *lab) error {
	l.events, l.rate = max(l.events, severalBlocks), max(l.rate, severalRate)
	d, err := l.fillAndStop(ctx)
	if err != nil {
		return err
	}
	// While the bridge is away, and then under one that runs, behind its scrub.
	if err := d.damage(0.25, flip); err != nil {
		return err
	}
	b, err := d.startNamed(ctx, "a byte that changed while the bridge was away")
	if err != nil {
		return err
	}
	if err := errors.Join(b.waitScrub(ctx, startAndScrub), b.stop(ctx)); err != nil {
		return err
	}
	if b, err = d.start(ctx); err != nil {
		return err
	}
	if err := d.damage(0.75, flip); err != nil {
		return err
	}
	if err := d.waitNamed(ctx, b, "a byte that changed under the running bridge"); err != nil {
		return err
	}
	return d.goOn(ctx, b)
}

func truncation(ctx context.Context, l *lab) error {
	d, err := l.fillAndStop(ctx)
	if err != nil {
		return err
	}
	if err := d.damage(0.5, cutOff); err != nil {
		return err
	}
	b, err := d.startNamed(ctx, "a store of which a file was cut off in the middle")
	if err != nil {
		return err
	}
	return d.goOn(ctx, b)
}

// damaged is a store that something is done to.
type damaged struct {
	lab    *lab
	limit  int64 // of the events
	seen   int64 // length of the log when it was damaged
	victim uint64
}

// fillAndStop stores most of the events and ends the bridge.
func (l *lab) fillAndStop(ctx context.Context) (*damaged, error) {
	b, err := l.startEmbedded(ctx, l.path("data"))
	if err != nil {
		return nil, err
	}
	l.send(ctx)
	if err := errors.Join(l.reach(ctx, 0.9), l.rest(ctx)); err != nil {
		return nil, err
	}
	nc, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	info, err := streamState(ctx, nc)
	if err != nil {
		return nil, err
	}
	pace := max(leastScrub, int64(info.State.Bytes)/scrubSeconds)
	return &damaged{lab: l, limit: pace * secondsOfDay}, b.stop(ctx)
}

// start runs the bridge with a scrub that is done soon.
func (d *damaged) start(ctx context.Context) (*hookspan, error) {
	return d.lab.startBridge(ctx, "bridge", fmt.Sprintf(embeddedConfig, d.lab.path("data"), d.lab.port, d.limit))
}

// startNamed runs the bridge on the damaged store and waits until it says so.
func (d *damaged) startNamed(ctx context.Context, what string) (*hookspan, error) {
	b, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	return b, d.waitNamed(ctx, b, what)
}

// waitNamed waits until an alarm names the message that was damaged.
func (d *damaged) waitNamed(ctx context.Context, b *hookspan, what string) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startAndScrub)
	defer cancel()
	for {
		found, err := alarms(b.log, d.seen)
		if err != nil {
			return err
		}
		for _, a := range found {
			if a.names(d.victim) {
				d.lab.note("%s: named as %s after %v", what, a.Alarm, time.Since(begun).Round(10*time.Millisecond))
				return nil
			}
		}
		if !b.alive() {
			return fmt.Errorf("the bridge has ended:\n%s", tail(b.log))
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			d.lab.wrong("%s, in message %d: not named within %v, alarms are %v", what, d.victim, startAndScrub, found)
			return nil
		}
	}
}

// goOn has the bridge take webhooks all the same, and counts what is gone.
func (d *damaged) goOn(ctx context.Context, b *hookspan) error {
	l := d.lab
	l.heal()
	l.send(ctx)
	if err := l.settle(ctx); err != nil {
		return err
	}
	nc, err := b.connect(ctx)
	if err != nil {
		return err
	}
	if err := l.audit(ctx, nc); err != nil {
		return err
	}
	l.note("%d of %d events cannot be read any more", l.report.Lost, l.book.snapshot().acknowledged)
	return nil
}

// damage changes a file in this part of the store, at the message that it finds
// there.
func (d *damaged) damage(part float64, change func(f *os.File, r record) error) error {
	folder, err := streamFolder(d.lab.path("data"))
	if err != nil {
		return err
	}
	names, err := blocks(folder)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("damaging the store: it is empty")
	}
	log, err := os.Stat(d.lab.path("bridge.log"))
	if err != nil {
		return err
	}
	d.seen = log.Size()
	at := part * float64(len(names))
	f, err := os.OpenFile(names[int(at)], os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("damaging the store: %w", err)
	}
	r, err := recordAt(f, at-float64(int(at)))
	if err == nil {
		d.victim = r.sequence
		err = change(f, r)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("damaging the store: %w", err)
	}
	return nil
}

// flip changes all bits of one byte in the middle of a message.
func flip(f *os.File, r record) error {
	b := make([]byte, 1)
	at := r.offset + r.size/2
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] = ^b[0]
	_, err := f.WriteAt(b, at)
	return err
}

// cutOff ends the file in the middle of a message.
func cutOff(f *os.File, r record) error { return f.Truncate(r.offset + r.size/2) }
