package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
)

const (
	waitingEvents = 100_000
	waitingDead   = 1_000
	// waitingFail is how many fail at once when they are made.
	waitingFail = 256
	// waitingFresh is how many webhooks are sent as fast as they are answered.
	waitingFresh       = 10_000
	waitingConnections = 64
	waitingBar         = 0.2 // within
	waitingTick        = 100 * time.Millisecond
)

// waited is what one round of a system gave.
type waited struct {
	passage

	rate, started float64 // events per second; seconds
}

func (w waited) ofStarted50() float64 { return w.started50 }
func (w waited) ofStarted99() float64 { return w.started99 }
func (w waited) ofMemory() float64    { return w.memory }
func (w waited) ofRate() float64      { return w.rate }
func (w waited) ofStart() float64     { return w.started }

// measureWaiting compares a bridge on which nothing waits with one on which much
// does.
func (b *bench) measureWaiting(ctx context.Context) (f finding, err error) {
	dirs := []string{b.inDir("waiting-none"), b.inDir("waiting-much")}
	for _, dir := range dirs {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if err := os.Mkdir(dir, 0o700); err != nil {
			return f, fmt.Errorf("making a folder: %w", err)
		}
	}
	b.progress("making %d events wait", waitingEvents)
	if err := makeWait(ctx, dirs[1]+"/data"); err != nil {
		return f, err
	}
	p, err := newPool(waitingFresh, failedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var all [2][]waited
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		for turn := range dirs {
			i := (round + turn) % len(dirs)
			one, err := b.waitingRound(ctx, dirs[i], p)
			if err != nil {
				return f, fmt.Errorf("round %d: %w", round+1, err)
			}
			all[i] = append(all[i], one)
		}
	}
	waitingFinding(&f, all[0], all[1])
	return f, nil
}

func waitingFinding(f *finding, none, much []waited) {
	f.text = fmt.Sprintf("A bridge in a process of its own with its embedded NATS and a consumer of concurrency %d in it, started anew for each round: once on an empty folder, and once where that consumer has %d events that wait hours for their next attempt, and %d dead letters. "+
		"Times are of %d webhooks a second, from when one was sent until its handler began; then %d webhooks over %d connections as fast as they were answered, until all were handled.",
		followWorkers, waitingEvents, waitingDead, startedRate, waitingFresh, waitingConnections)
	f.head = []string{"waiting", "p50 ms", "p99 ms", "sent and handled, /s", "memory", "start, s"}
	for _, one := range []struct {
		name string
		all  []waited
	}{{"none", none}, {fmt.Sprint(waitingEvents), much}} {
		f.row(one.name, decimal(over(one.all, waited.ofStarted50)), decimal(over(one.all, waited.ofStarted99)),
			integer(over(one.all, waited.ofRate)), mibs(over(one.all, waited.ofMemory)), decimal(over(one.all, waited.ofStart)))
	}
	slower := paired(much, none, func(a, b waited) float64 { return a.started50 / b.started50 })
	rate := paired(much, none, func(a, b waited) float64 { return a.rate / b.rate })
	memory := over(much, waited.ofMemory)
	f.under(slower, 1+waitingBar, "100,000 events wait: from a webhook to its handler less than 120 % of the time where none does, p50", percent(slower))
	f.atLeast(rate, 1-waitingBar, 0, "100,000 events wait: at least 80 % of the throughput where none does", percent(rate))
	f.under(memory, consumeMemoryBar, "100,000 events wait: never over 96 MiB", mibs(memory))
}

// makeWait has the consumer that will follow fail at events, as it would in a
// bridge: most wait long, some are given up.
func makeWait(ctx context.Context, dir string) (err error) {
	r, err := openRig(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.fill(ctx, failedWebhook(), waitingEvents+waitingDead); err != nil {
		return err
	}
	handler := consumers.HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		err := errors.New("the target answered 503 Service Unavailable")
		if ev.Sequence <= waitingDead {
			return consumers.Permanent(err)
		}
		return consumers.RetryAfter(err, time.Duration(1+ev.Sequence%24)*time.Hour)
	})
	c, err := consumers.New(r.js, handler, consumers.Config{
		Name: followed, Filter: failed(), Start: consumers.Start{All: true}, Concurrency: waitingFail, Logger: telemetry.Slog(r.log),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { defer stop(); return c.Run(ctx) })
	group.Go(func() error { defer stop(); return r.untilWaiting(ctx) })
	return group.Wait()
}

// untilWaiting returns when every event waits or is dead, and ctx ends then.
func (r *rig) untilWaiting(ctx context.Context) error {
	for {
		later, err := r.bare.Stream(ctx, r.names.LaterStream())
		if err != nil {
			return fmt.Errorf("looking at what waits: %w", err)
		}
		durable, err := r.untilDurable(ctx)
		if err != nil {
			return err
		}
		if later.CachedInfo().State.Msgs == waitingEvents && durable.NumAckPending == 0 && durable.NumPending == 0 {
			return nil
		}
		if err := pause(ctx, waitingTick); err != nil {
			return fmt.Errorf("waiting until %d events wait: %w", waitingEvents, err)
		}
	}
}

func (b *bench) waitingRound(ctx context.Context, dir string, p *pool) (one waited, err error) {
	steady, err := openPool(startedRate, b.steady(), 1)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, steady.close()) }()
	f, err := startFollower(ctx, dir, loopCount(startedRate, b.steady()), p.count)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	one.started = f.started.Seconds()
	if one.passage, err = f.passage(ctx, startedRate, steady, b.steady()); err != nil {
		return one, f.explain(err)
	}
	if one.rate, err = f.throughput(ctx, p); err != nil {
		return one, f.explain(err)
	}
	peak, err := f.size("VmHWM")
	one.memory = float64(peak)
	return one, err
}

// throughput sends all of the pool as fast as it is answered, a phase, and returns
// how many were handled in a second.
func (f *follower) throughput(ctx context.Context, p *pool) (float64, error) {
	p.renew(p.count)
	workers, hangUp, err := senders(ctx, f.addr, waitingConnections, p)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	begin := time.Now()
	if _, err := load(ctx, workers, p, window{measured: startTimeout}); err != nil {
		return 0, err
	}
	handled, err := f.phase(ctx)
	if err != nil {
		return 0, err
	}
	ends := make([]time.Time, 0, len(handled))
	for _, at := range handled {
		ends = append(ends, at)
	}
	return float64(p.count) / slices.MaxFunc(ends, time.Time.Compare).Sub(begin).Seconds(), nil
}
