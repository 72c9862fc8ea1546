package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
)

const (
	noopEvents = 60_000
	// onceEvents is less: each writes twice, with a sync.
	onceEvents = noopEvents / 10
	noopBar    = 0.70
	// consumeMemoryBar is for every process with a consumer.
	consumeMemoryBar = 96 * mib
)

// noopWorkers is how many events are handled at once.
var noopWorkers = []int{8, 64}

// nooped is what one reader gave, one for each round.
type nooped struct {
	rates, costs, memory []float64
}

// measureNoop compares a consumer whose handler does nothing with plain clients.
func (b *bench) measureNoop(ctx context.Context) (f finding, err error) {
	dir := b.inDir("noop")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return f, fmt.Errorf("making a folder: %w", err)
	}
	if err := fillFolder(ctx, dir+"/data", completedWebhook(), noopEvents); err != nil {
		return f, err
	}
	all := map[int]*[readers]nooped{}
	for _, n := range noopWorkers {
		all[n] = &[readers]nooped{}
	}
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		for _, n := range noopWorkers {
			for turn := range readers {
				r := (reader(round) + turn) % readers
				if err := readOnce(ctx, dir, fmt.Sprintf("reader-%d-%d-%d", round, n, r), r, n, &all[n][r]); err != nil {
					return f, fmt.Errorf("round %d, %v, %d at once: %w", round+1, r, n, err)
				}
			}
		}
	}
	noopFinding(&f, all)
	return f, nil
}

// readOnce has a process of its own read what is stored.
func readOnce(ctx context.Context, dir, durable string, r reader, workers int, to *nooped) (err error) {
	what := reading{Dir: dir + "/data", Durable: durable, Reader: r, Workers: workers, Events: noopEvents}
	if r == byOnce {
		what.Events = onceEvents
	}
	arg, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("saying what to read: %w", err)
	}
	p, ready, err := startMode(ctx, "the consumer", dir, modeRead, string(arg), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	peak, err := p.size("VmHWM")
	to.rates, to.costs, to.memory = append(to.rates, ready.Rate), append(to.costs, ready.Cost), append(to.memory, float64(peak))
	return err
}

func noopFinding(f *finding, all map[int]*[readers]nooped) {
	f.text = fmt.Sprintf(`%d events of completed predictions of %d models, stored before, are read from the first one on by a process of its own with the embedded NATS, which does nothing with them but acknowledge each. The first fifth is not measured.

- **%v**: package consumers, with a handler that returns nil, log lines encoded and dropped.
- **%v**: the same with `+"`once: true`"+`, %d events: two writes for each, with a sync.
- **%v**: a plain client, `+"`Messages(PullMaxMessages(1))`, `Next` and `Ack`"+` in as many goroutines, with the same two filter subjects (that of the filter, and the one on which events come again): one request for each event, so that none waits, with its lease running, for a goroutine that is busy.
- **%v** and **%v**: the same with the first of these subjects, and with none.
- **%v**: one `+"`Messages()`"+` for all goroutines, with the two subjects: the client keeps up to 500 events waiting for them.

Processor time is for each event, of the process with its NATS. Memory is the most that the process ever had (VmHWM).`, noopEvents, filledModels, byConsumer, byOnce, onceEvents, byPull, byOneSubject, byNoSubject, byBuffer)
	f.head = []string{"at once", " way", "events/s", "to the consumer", "to pull", "processor, µs", "memory"}
	memory := 0.0
	for _, n := range noopWorkers {
		ours, plain := all[n][byConsumer], all[n][byPull]
		for r := range readers {
			one := all[n][r]
			peak := spreadOf(one.memory)
			f.row(strconv.Itoa(n), r.String(), integer(spreadOf(one.rates)), percent(paired(one.rates, ours.rates, ratio)), percent(paired(one.rates, plain.rates, ratio)), integer(spreadOf(one.costs)), mibs(peak))
			if r == byConsumer || r == byOnce {
				memory = max(memory, peak.median)
			}
		}
		share := paired(ours.rates, plain.rates, ratio)
		f.atLeast(share, noopBar, 0, fmt.Sprintf("a handler that does nothing, %d at once: at least 70 %% of a plain pull", n), percent(share))
	}
	f.under(spread{median: memory}, consumeMemoryBar, "a handler that does nothing, also once: never over 96 MiB", inMiB(memory))
}
