package main

import (
	"fmt"
	"strconv"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// consumeMemory is the most memory, in MiB, of a process that consumes events.
const consumeMemory = 96

// reading compares a consumer whose handler does nothing with clients.
func reading() scenario {
	const (
		events = 48_000
		// onceEvents is less: each writes twice, with a sync.
		onceEvents = events / 10
	)
	ways := []struct{ name, title string }{
		{"consumer", "consumer"},
		{"consumer-once", "consumer, once"},
		{"pull", "pull"},
		{"pull-one-subject", "pull, one filter subject"},
		{"pull-no-filter", "pull, no filter"},
		{"pull-buffered", "pull, buffered"},
	}
	workers := []int{8, 64}
	key := func(n int, way string) string { return fmt.Sprintf("Read/workers=%d/way=%s", n, way) }
	return scenario{
		name: "noop", title: "Reading events",
		begin: func(_ *bench, r *rig.Rig) (groups [][]way) {
			compiled := compile(r, consumersPackage)
			for _, n := range workers {
				var group []way
				for _, w := range ways {
					count := map[bool]int{true: onceEvents, false: events}[w.name == "consumer-once"]
					group = append(group, compiled.way(key(n, w.name), strconv.Itoa(count)+"x", 0))
				}
				groups = append(groups, group)
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d events of completed predictions of 100 models, stored before and as many as a quarter of them to warm up, are read from the first one on by a process of its own with a NATS server that syncs before it acknowledges, which does nothing with them but acknowledge each (`go test ./%s -bench Read`).", events, consumersPackage) + fmt.Sprintf(`

- **consumer**: package consumers, with a handler that returns nil, log lines encoded and dropped.
- **consumer, once**: the same with `+"`once: true`"+`, %d events: two writes for each, with a sync.
- **pull**: a plain client, `+"`Messages(PullMaxMessages(1))`, `Next` and `Ack`"+` in as many goroutines, with the same two filter subjects (that of the filter, and the one on which events come again): one request for each event, so that none waits, with its lease running, for a goroutine that is busy.
- **pull, one filter subject** and **pull, no filter**: the same with the first of these subjects, and with none.
- **pull, buffered**: one `+"`Messages()`"+` for all goroutines, with the two subjects: the client keeps up to 500 events waiting for them.

Processor time is for each event, of the process with its NATS. Memory is the most that the process had (VmHWM) since the events were stored.`, onceEvents)
			s.head = []string{"at once", " way", "events/s", "to the consumer", "to pull", "processor, µs", "memory"}
			var memory spread
			for _, n := range workers {
				ours, plain := key(n, "consumer")+" events/s", key(n, "pull")+" events/s"
				for _, w := range ways {
					one := key(n, w.name)
					most := d.of(one + " peak-MiB")
					rate := one + " events/s"
					s.row(strconv.Itoa(n), w.title, integer(d.of(rate)), percent(d.ratio(rate, ours)), percent(d.ratio(rate, plain)), integer(d.of(one+" cpu-µs")), mibs(most))
					if (w.name == "consumer" || w.name == "consumer-once") && most.median > memory.median {
						memory = most
					}
				}
				s.atLeast(0.70, d.ratio(ours, plain), percent, fmt.Sprintf("a handler that does nothing, %d at once: at least 70 %% of a plain pull", n))
			}
			s.under(consumeMemory, memory, mibs, "a handler that does nothing, also once: never over 96 MiB")
		},
	}
}
