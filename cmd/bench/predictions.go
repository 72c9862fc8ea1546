package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// viewRounds is how often a view is measured at most: a round is long.
const viewRounds = 3

func folding() scenario {
	const blocks, fold = 100, "Fold/2_events_a_prediction_in_blocks_of_1000"
	return scenario{
		name: "fold", title: "Events into the view", rounds: viewRounds,
		begin: func(_ *bench, r *rig.Rig) [][]way {
			return [][]way{{compile(r, viewPackage).way(fold, strconv.Itoa(blocks)+"x")}}
		},
		report: func(_ *bench, d data, s *section) {
			rate := d.of(fold + " events/s")
			s.row("events into the view", perSecond(rate))
			s.row("the longest block of 1,000", ms(d.of(fold+" worst-ms")))
			s.atLeast(20_000, rate, perSecond, "the view folds at least 20,000 events a second")
		},
	}
}

const (
	openPredictions = 100_000
	leftAlone       = 10 * time.Second // how long bridges are left alone
)

func keeping() scenario {
	return scenario{
		name: "view", title: "What the view keeps", rounds: viewRounds, missing: needsSpace(8 * gib),
		begin: func(b *bench, r *rig.Rig) [][]way {
			var asked atomic.Int64
			provider := r.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				http.Error(w, "nobody is overdue", http.StatusTeapot)
			}))
			start := func(of *rig.Rig, name string) *rig.Bridge {
				return startBridge(of, rig.BridgeConfig{
					Name: name, Data: r.Path(name), Source: fmt.Sprintf(`api: {base_url: "%s/api/v3", key: "env:GET3W_WEBHOOK_SECRET"}`, provider),
				})
			}
			finished := r.Path("finished")
			b.progress("storing events")
			r.Within("storing", func(r *rig.Rig) {
				p := r.NewPool(1, failedWebhook()) // the archive has nothing to do for it
				announce(r, start(r, "open"), p)
				bridge := start(r, "finished")
				sendAll(bridge, 1, p)
				rig.Must(await(r.Context(), bridge, p.ID(0)))
			})
			openStore(r, finished, func(js jetstream.JetStream) {
				copyStored(r, js, rig.EventsStream, rig.EventsPrefix+"prediction.>", million-1)
			})
			openStore(r, r.Path("open"), func(js jetstream.JetStream) {
				copyStored(r, js, rig.EventsStream, rig.EventsPrefix+"watch.>", openPredictions-1)
			})
			folded := metrics{}
			for _, name := range []string{"finished", "open"} {
				r.Within("folding "+name, func(r *rig.Rig) {
					began := time.Now()
					untilCurrent(r, start(r, name))
					folded[name+" folded"] = time.Since(began).Seconds()
				})
			}
			return alone(func(r *rig.Rig) metrics {
				bridges, m := map[string]*rig.Bridge{}, maps.Clone(folded)
				r.Within("without a view", func(r *rig.Rig) {
					began := time.Now()
					bridge := startBridge(r, rig.BridgeConfig{Name: "viewless", Data: finished, More: withoutView})
					m["viewless start"] = time.Since(began).Seconds()
					m["viewless memory"] = settled(r, bridge.Process)[0]
				})
				for _, name := range []string{"none", "finished", "open"} {
					began := time.Now()
					bridges[name] = start(r, name)
					untilCurrent(r, bridges[name])
					m[name+" start"] = time.Since(began).Seconds()
				}
				leaveAlone(r, bridges, m)
				if n := asked.Load(); n > 0 {
					rig.Check(fmt.Errorf("the provider was asked %d times while nothing was overdue", n))
				}
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			growth, started, folded := d.difference("finished memory", "viewless memory"), d.difference("finished start", "viewless start"), d.of("finished folded")
			s.row("memory with an empty view", mibs(d.of("none memory")))
			s.row("memory with 1 million events and no view", mibs(d.of("viewless memory")))
			s.row("memory more with a view of 1 million finished predictions", mibs(growth))
			s.row("start with 1 million events and no view", seconds(d.of("viewless start")))
			s.row("start until a view of 1 million finished predictions is up to date, longer", seconds(started))
			s.row("the view of their events made anew, with the start", seconds(folded))
			s.row("memory more with 100,000 open predictions", mibs(d.difference("open memory", "none memory")))
			s.row("start until the view is up to date, longer with these", seconds(d.difference("open start", "none start")))
			s.row("processor time of a second, left alone, empty view", ms(d.of("none idle")))
			s.row("the same with 1 million finished predictions", ms(d.of("finished idle")))
			s.row("the same with 100,000 open predictions", ms(d.of("open idle")))
			s.under(48, growth, mibs, "1 million finished predictions in the view grow the memory by less than 48 MiB")
			s.under(1, started, seconds, "a view of 1 million predictions delays the start by less than 1 s")
			s.under(60, folded, seconds, "the view of 1 million events is made anew in less than 60 s")
		},
	}
}

// untilCurrent waits until the bridge leads with a view that has every event.
func untilCurrent(r *rig.Rig, bridge *rig.Bridge) {
	untilMetric(r, bridge, "hookspan_predictions_leader", 1)
	untilMetric(r, bridge, "hookspan_view_up_to_date", 1)
}

func leaveAlone(r *rig.Rig, bridges map[string]*rig.Bridge, m metrics) {
	processes := make([]*rig.Process, 0, len(bridges))
	names := slices.Sorted(maps.Keys(bridges))
	for _, name := range names {
		processes = append(processes, bridges[name].Process)
	}
	for i, memory := range settled(r, processes...) {
		m[names[i]+" memory"], m[names[i]+" idle"] = memory, -inMs(processes[i].Processor())
	}
	r.Pause(leftAlone)
	for i, p := range processes {
		m[names[i]+" idle"] = (m[names[i]+" idle"] + inMs(p.Processor())) / leftAlone.Seconds()
		m[names[i]+" peak"] = peak(p)
	}
}

func untilMetric(r *rig.Rig, bridge *rig.Bridge, name string, value float64) {
	last := math.NaN()
	err := r.Until(fmt.Sprintf("%s is %g", name, value), patience, 2*time.Millisecond, func(context.Context) bool {
		last = bridge.Metric(name)
		return last >= value
	})
	if err != nil {
		rig.Check(bridge.Explain(fmt.Errorf("%w: it is %g", err, last)))
	}
}

// copyStored copies the message on a subject n times, each for another prediction.
func copyStored(r *rig.Rig, js jetstream.JetStream, stream, subject string, n int) {
	sample := lastStored(r, js, stream, subject)
	p := r.NewPool(10_000, failedWebhook()) // for its ids
	for ; n > 0; n -= p.Count {
		p.Renew(min(n, 10_000))
		acks := make([]jetstream.PubAckFuture, p.Count)
		for i := range acks {
			acks[i] = rig.Must(js.PublishMsgAsync(sample.with(p.ID(i)), jetstream.WithStallWait(time.Minute)))
		}
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				rig.Check(err, "filling", stream)
			}
		}
	}
}
