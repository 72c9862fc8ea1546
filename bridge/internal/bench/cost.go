package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

const (
	costRate        = 400
	costConnections = 16
	costBar         = 0.25 // ms
	memoryEvents    = 50_000
	memoryConns     = 256
	memoryBar       = 64 * mib
	idleBar         = 40 * mib
)

// footprint is what one bridge took: processor time in ms for each event, memory
// in bytes.
type footprint struct {
	cpu, idle, loaded, peak, rate float64
}

// measureCost runs a bridge with every default but its addresses and the size of
// the stream. The webhooks tell of failures, which the archive does not read:
// nothing is asked of the provider's hosts.
func (b *bench) measureCost(ctx context.Context) (f finding, err error) {
	var all []footprint
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		one, err := b.footprint(ctx)
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		all = append(all, one)
	}
	cpu := over(all, func(o footprint) float64 { return o.cpu })
	idle := over(all, func(o footprint) float64 { return o.idle })
	peak := over(all, func(o footprint) float64 { return o.peak })
	f.text = fmt.Sprintf("`hookspan serve` as a process of its own, a new one each round, with default settings. "+
		"Processor time (user and system, of the bridge with its embedded NATS) is for each event at %d requests a second over %d connections. "+
		"Memory is resident (VmRSS, the least of %.0f s; VmHWM for the most). The %d webhooks came over %d connections as fast as they were answered, and tell of failed predictions, which the archive does not read.",
		costRate, costConnections, settleTime.Seconds(), memoryEvents, memoryConns)
	f.head = []string{"", "measured"}
	f.row("processor time of an event", decimal(cpu)+" ms")
	f.row("memory after one webhook", mibs(idle))
	f.row(fmt.Sprintf("memory after %d webhooks (%.0f/s)", memoryEvents, over(all, func(o footprint) float64 { return o.rate }).median), mibs(over(all, func(o footprint) float64 { return o.loaded })))
	f.row("the most memory it ever had", mibs(peak))
	f.under(cpu, costBar, "400 requests a second: under 0.25 ms of processor time for each", decimal(cpu)+" ms")
	f.under(idle, idleBar, "idle under 40 MiB", mibs(idle))
	f.under(peak, memoryBar, "256 connections, up to 50,000 events stored: never over 64 MiB", mibs(peak))
	return f, nil
}

func (b *bench) footprint(ctx context.Context) (o footprint, err error) {
	dir := b.inDir("cost")
	c, err := b.startBridge(ctx, bridgeConfig{dir: dir, nats: roomy})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, c.stop(), os.RemoveAll(dir)) }()
	if err := c.sendOne(ctx, failedWebhook()); err != nil {
		return o, err
	}
	idle, err := c.settled(ctx)
	if err != nil {
		return o, err
	}
	if o.cpu, err = b.processorPerEvent(ctx, c); err != nil {
		return o, err
	}
	s, err := c.sendMany(ctx, memoryConns, memoryEvents)
	if err != nil {
		return o, err
	}
	loaded, err := c.settled(ctx)
	if err != nil {
		return o, err
	}
	peak, err := c.size("VmHWM")
	o.idle, o.loaded, o.peak, o.rate = float64(idle), float64(loaded), float64(peak), s.rate
	return o, err
}

// processorPerEvent is in ms.
func (b *bench) processorPerEvent(ctx context.Context, c *child) (cpu float64, err error) {
	w := window{measured: b.steady().measured}
	p, err := openPool(costRate, w, 1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	before, err := c.processor()
	if err != nil {
		return 0, err
	}
	took, err := openLoopAt(ctx, c.addr, costConnections, costRate, p, w)
	if err != nil {
		return 0, c.explain(err)
	}
	after, err := c.processor()
	return (after - before).Seconds() * 1000 / float64(len(took)), err
}

// sendMany posts so many webhooks as fast as they are answered.
func (c *child) sendMany(ctx context.Context, n, count int) (s sample, err error) {
	p, err := newPool(count, failedWebhook())
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	return c.load(ctx, n, p, window{measured: time.Duration(math.MaxInt64)})
}
