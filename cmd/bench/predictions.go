package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// ledgerRounds is how often a ledger is measured at most: a round is long.
const ledgerRounds = 3

func folding() scenario {
	const events = 100_000
	return scenario{
		name: "fold", title: "Events into the ledger of predictions", rounds: ledgerRounds,
		begin: func(_ *bench, r *rig.Rig) [][]way {
			compiled, count := compile(r, predictionsPackage), strconv.Itoa(events)+"x"
			return [][]way{{compiled.way("Fold/way=fold", count), compiled.way("Fold/way=pull", count)}}
		},
		report: func(_ *bench, d data, s *section) {
			rate := d.of("Fold/way=fold events/s")
			s.row("events into the ledger", perSecond(rate))
			s.row("processor time of each, with its NATS", integer(d.of("Fold/way=fold cpu-µs"))+" µs")
			s.row("the same events, a plain pull", perSecond(d.of("Fold/way=pull events/s")))
			s.row("the ledger to a plain pull", percent(d.ratio("Fold/way=fold events/s", "Fold/way=pull events/s")))
			s.atLeast(10_000, rate, perSecond, "the ledger of predictions folds at least 10,000 events a second")
		},
	}
}

const (
	openPredictions = 100_000
	leftAlone       = 10 * time.Second // how long bridges are left alone
)

func keeping() scenario {
	return scenario{
		name: "ledger", title: "What the ledger of predictions keeps", rounds: ledgerRounds, missing: needsSpace(4 * gib),
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
			b.progress("filling ledgers")
			r.Within("filling", func(r *rig.Rig) {
				p := r.NewPool(1, completedWebhook("https://cdn.get3w.com/outputs/image-0.png"))
				announce(r, start(r, "open"), p)
				bridge := start(r, "finished")
				announce(r, bridge, p)
				sendAll(bridge, 1, p)
				rig.Must(await(r.Context(), bridge, p.ID(0)))
			})
			openStore(r, r.Path("finished"), func(js jetstream.JetStream) {
				copyStored(r, js, "KV_HOOKSPAN_PREDICTIONS", "$KV.HOOKSPAN_PREDICTIONS.entry.>", million-1)
			})
			openStore(r, r.Path("open"), func(js jetstream.JetStream) {
				copyStored(r, js, rig.EventsStream, rig.EventsPrefix+"watch.>", openPredictions-1)
			})
			r.Within("folding", func(r *rig.Rig) {
				untilMetric(r, start(r, "open"), `hookspan_predictions_open{source="`+rig.SourceName+`"}`, openPredictions)
			})
			return alone(func(r *rig.Rig) metrics {
				bridges := map[string]*rig.Bridge{}
				m := metrics{}
				for _, name := range []string{"none", "finished", "open"} {
					bridges[name] = start(r, name)
					m[name+" term"] = untilLeading(r, bridges[name], map[string]int{"open": openPredictions, "finished": 0}[name])
				}
				leaveAlone(r, bridges, m)
				if n := asked.Load(); n > 0 {
					rig.Check(fmt.Errorf("the provider was asked %d times while nothing was overdue", n))
				}
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			growth, term := d.difference("finished memory", "none memory"), d.of("open term")
			s.row("memory with an empty ledger", mibs(d.of("none memory")))
			s.row("memory more with 1 million finished predictions", mibs(growth))
			s.row("the most memory ever, more with them", mibs(d.difference("finished peak", "none peak")))
			s.row("start of a term with them", seconds(d.of("finished term")))
			s.row("start of a term with 100,000 open predictions", seconds(term))
			s.row("memory more with these", mibs(d.difference("open memory", "none memory")))
			s.row("processor time of a second, left alone, empty ledger", ms(d.of("none idle")))
			s.row("the same with 1 million finished predictions", ms(d.of("finished idle")))
			s.row("the same with 100,000 open predictions", ms(d.of("open idle")))
			s.under(256, growth, mibs, "1 million finished predictions in the ledger grow the memory by less than 256 MiB")
			s.under(1, term, seconds, "100,000 open predictions are read by a new leader in less than 1 s")
		},
	}
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

// untilLeading returns how many seconds it took until a bridge with the lead had read what is open.
func untilLeading(r *rig.Rig, bridge *rig.Bridge, open int) (took float64) {
	rig.Check(r.Until("the bridge leads the ledger", patience, 5*time.Millisecond, func(context.Context) bool {
		for line := range strings.Lines(read(bridge.Log)) {
			var logged struct {
				Open   int
				Took   string
				ToFold *int `json:"events_to_fold"` // of this line alone
			}
			if json.Unmarshal([]byte(line), &logged) != nil || logged.ToFold == nil {
				continue
			}
			if logged.Open != open {
				rig.Check(fmt.Errorf("the ledger has %d open predictions, not %d", logged.Open, open))
			}
			took = rig.Must(time.ParseDuration(logged.Took)).Seconds()
			return true
		}
		return false
	}))
	return took
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
