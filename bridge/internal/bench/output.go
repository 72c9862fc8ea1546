package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	outputBytes   = 1 * gib
	outputTimeout = 2 * time.Minute
	outputTick    = 50 * time.Millisecond
	// outputSpace is what the disk must have: the output, and what the archive
	// leaves free for the store.
	outputSpace = 3 * gib
	outputBar   = 32 * mib
)

// output is how one large output was archived.
type output struct {
	before, peak int64 // memory of the bridge, in bytes
	took         time.Duration
}

// measureOutput has a bridge archive one large output, once, and watches its memory.
func (b *bench) measureOutput(ctx context.Context) (f finding, err error) {
	free, err := freeSpace(b.dir)
	if err != nil {
		return f, err
	}
	if free < outputSpace {
		f.text = fmt.Sprintf("Not measured: the disk has %s free, this needs %s.", inMiB(free), inMiB(int64(outputSpace)))
		return f, nil
	}
	o, err := b.archiveLarge(ctx)
	if err != nil {
		return f, err
	}
	f.text = fmt.Sprintf("One output of %s, from a server on the same machine to the archive, until its manifest is on the disk; memory looked at every %v. Measured once. Size and SHA-256 in the manifest are right.", inMiB(int64(outputBytes)), outputTick)
	f.head = []string{"", "measured"}
	f.row("archived in", fmt.Sprintf("%.1f s, %.0f MiB/s", o.took.Seconds(), outputBytes/mib/o.took.Seconds()))
	f.row("memory before, most", inMiB(o.before)+", "+inMiB(o.peak))
	growth := max(0, o.peak-o.before)
	f.under(spread{median: float64(growth)}, outputBar, "an output of 1 GiB grows the memory by less than 32 MiB", inMiB(growth))
	return f, nil
}

func (b *bench) archiveLarge(ctx context.Context) (o output, err error) {
	ctx, cancel := context.WithTimeout(ctx, outputTimeout)
	defer cancel()
	content := newContent(outputBytes)
	addr, hangUp, err := listenLocally(ctx, content)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	c, err := b.startBridge(ctx, bridgeConfig{
		dir: b.inDir("output"), more: `consumers: {archive: {kind: archive, hosts: ["127.0.0.1"], allow_private: true}}`,
	})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.sendOne(ctx, failedWebhook()); err != nil {
		return o, err
	}
	if o.before, err = c.settled(ctx); err != nil {
		return o, err
	}
	if err := o.archive(ctx, c, "http://"+addr+"/output.bin", content); err != nil {
		return o, c.explain(err)
	}
	return o, nil
}

// archive posts the webhook, waits for the manifest and compares what it says.
func (o *output) archive(ctx context.Context, c *child, address string, want content) (err error) {
	completed := time.Now().UTC()
	p, err := newPool(1, newWebhook(bridge.StatusCompleted, []string{address}, "", completed))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	file := c.manifest(p.id(0), completed)
	tick := time.NewTicker(outputTick)
	defer tick.Stop()
	begin := time.Now()
	if err := c.post(ctx, p); err != nil {
		return err
	}
	for {
		now, err := c.size("VmRSS")
		if err != nil {
			return err
		}
		o.peak = max(o.peak, now)
		text, err := os.ReadFile(file)
		if err == nil {
			o.took = time.Since(begin)
			return want.check(text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the manifest: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the manifest: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
