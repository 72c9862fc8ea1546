package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	startedRate        = 200
	startedConnections = 32
	startedBar         = 2 // ms
)

// passage is how long webhooks took, in ms, from when they were sent: p50 and p99
// until the answer and until the handler began.
type passage struct {
	answered50, answered99, started50, started99 float64
	memory                                       float64 // of the bridge, in bytes, the most
}

// measureStarted looks at the time from a webhook to the handler.
func (b *bench) measureStarted(ctx context.Context) (f finding, err error) {
	dir := b.inDir("started")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return f, fmt.Errorf("making a folder: %w", err)
	}
	var all []passage
	for round := range b.rounds {
		one, err := b.startedRound(ctx, dir)
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		all = append(all, one)
	}
	p50, p99 := over(all, passage.ofStarted50), over(all, passage.ofStarted99)
	memory := over(all, passage.ofMemory)
	f.text = fmt.Sprintf("%d webhooks a second over %d connections, by the clock, to a bridge in a process of its own with its embedded NATS and a consumer of concurrency %d in it. "+
		"Times count from when a webhook was sent, so they hold its way in, its sync and its way out.", startedRate, startedConnections, followWorkers)
	f.head = []string{"", "measured"}
	f.row("sent until answered, p50", decimal(over(all, passage.ofAnswered50))+" ms")
	f.row("sent until answered, p99", decimal(over(all, passage.ofAnswered99))+" ms")
	f.row("sent until the handler began, p50", decimal(p50)+" ms")
	f.row("sent until the handler began, p99", decimal(p99)+" ms")
	f.row("the most memory it ever had", mibs(memory))
	f.under(p50, startedBar, "200 webhooks a second: the handler begins within 2 ms of the sending, p50", decimal(p50)+" ms")
	f.under(memory, consumeMemoryBar, "200 webhooks a second with their handler: never over 96 MiB", mibs(memory))
	return f, nil
}

func (p passage) ofAnswered50() float64 { return p.answered50 }
func (p passage) ofAnswered99() float64 { return p.answered99 }
func (p passage) ofStarted50() float64  { return p.started50 }
func (p passage) ofStarted99() float64  { return p.started99 }
func (p passage) ofMemory() float64     { return p.memory }

func (b *bench) startedRound(ctx context.Context, dir string) (one passage, err error) {
	w := b.steady()
	p, err := openPool(startedRate, w, 1)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	f, err := startFollower(ctx, dir, loopCount(startedRate, w))
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	one, err = f.passage(ctx, startedRate, p, w)
	if err != nil {
		return one, f.explain(err)
	}
	peak, err := f.size("VmHWM")
	one.memory = float64(peak)
	return one, err
}

// passage sends the pool's webhooks at a fixed rate, and follows them until the
// handler began with the last one: that is a phase.
func (f *follower) passage(ctx context.Context, rate int, p *pool, w window) (one passage, err error) {
	workers, hangUp, err := senders(ctx, f.addr, startedConnections, p)
	if err != nil {
		return one, err
	}
	defer hangUp()
	sent := make([]time.Time, p.count)
	answered := make([]time.Time, p.count)
	for n, send := range workers {
		workers[n] = func(ctx context.Context, i int) error {
			sent[i] = time.Now()
			err := send(ctx, i)
			answered[i] = time.Now()
			return err
		}
	}
	if _, err := openLoop(ctx, workers, rate, p, w); err != nil {
		return one, err
	}
	handled, err := f.phase(ctx)
	if err != nil {
		return one, err
	}
	var toAnswer, toStart []float64
	for i := loopCount(rate, window{measured: w.warm}); i < loopCount(rate, w); i++ {
		at, ok := handled[p.id(i)]
		if !ok {
			return one, fmt.Errorf("%s was answered and not handled", p.id(i))
		}
		toAnswer = append(toAnswer, inMs(answered[i].Sub(sent[i])))
		toStart = append(toStart, inMs(at.Sub(sent[i])))
	}
	one.answered50, one.answered99 = percentile(toAnswer, 50), percentile(toAnswer, 99)
	one.started50, one.started99 = percentile(toStart, 50), percentile(toStart, 99)
	return one, nil
}
