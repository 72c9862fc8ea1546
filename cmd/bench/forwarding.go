package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// forwarding has a bridge post stored events to a service, and a client post as many.
func forwarding() scenario {
	const (
		events = 20_000
		atOnce = 64
	)
	return scenario{
		name: "forward", title: "Forwarding to a service",
		begin: func(_ *bench, r *rig.Rig) [][]way {
			target := &service{}
			url := target.serve(r)
			p := r.NewPool(events, failedWebhook())
			return [][]way{{
				{"forward", func(r *rig.Rig) metrics {
					p.Renew(events)
					bridge := startBridge(r, rig.BridgeConfig{})
					sendAll(bridge, 256, p)
					bridge.MustStop()
					target.begin(0, http.StatusNoContent)
					bridge = startBridge(r, rig.BridgeConfig{More: forwardTo(url, atOnce, ", start: all")})
					return metrics{"rate": rate(target.wait(r, events)), "peak": peak(bridge.Process)}
				}},
				{"plain", func(r *rig.Rig) metrics {
					p.Renew(events)
					target.begin(0, http.StatusNoContent)
					postAll(r, url, p, atOnce)
					return metrics{"rate": rate(target.wait(r, events))}
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d stored events are posted to a service on the same machine that answers 204 at once, %d at once: `hookspan serve` with a consumer of kind forward in a process of its own. "+
				"**plain** is a client that posts as many webhooks of the same size, as many at once, without a store, a signature or a log. The first fifth is not measured.", events, atOnce)
			s.head = []string{" way", "events/s", "to plain", "memory"}
			s.row("forward", integer(d.of("forward rate")), percent(d.ratio("forward rate", "plain rate")), mibs(d.of("forward peak")))
			s.row("plain", integer(d.of("plain rate")), "", "")
			s.atLeast(5000, d.of("forward rate"), perSecond, "forwarding to a service on the same machine, 64 at once: at least 5,000 events a second")
			s.under(consumeMemory, d.of("forward peak"), mibs, "forwarding: never over 96 MiB")
		},
	}
}

// postAll posts the bodies of a pool without a bridge.
func postAll(r *rig.Rig, url string, p *rig.Pool, atOnce int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}, Timeout: rig.AnswerTimeout}
	defer client.CloseIdleConnections()
	var group errgroup.Group
	for range atOnce {
		group.Go(func() error {
			for i, ok := p.Take(); ok; i, ok = p.Take() {
				request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(p.Body(i)))
				if err != nil {
					return err
				}
				answer, err := client.Do(request)
				if err == nil {
					err = answer.Body.Close()
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	rig.Check(group.Wait())
}

// service is what a bridge forwards events to. It answers at once, and notes when each
// prediction came first.
type service struct {
	mu      sync.Mutex
	came    map[string]time.Time
	answers []int // of the first requests, one after the other; then rest
	rest    int
}

// serve serves on a free port until the rig is closed, and returns the address.
func (s *service) serve(r *rig.Rig) (url string) { return r.Serve(s) + "/events" }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	begin := bytes.Index(body, []byte("pred_"))
	if err != nil || begin < 0 {
		return // the client hung up, and will post it again
	}
	s.mu.Lock()
	id := string(body[begin:][:len(rig.AnyID)])
	if _, again := s.came[id]; !again {
		s.came[id] = at
	}
	status := s.rest
	if len(s.answers) > 0 {
		status, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	w.WriteHeader(status)
}

// begin notes anew, and answers with so many refusals before the other status.
func (s *service) begin(refusals, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came, s.answers, s.rest = map[string]time.Time{}, slices.Repeat([]int{http.StatusUnprocessableEntity}, refusals), status
}

// wait returns when each prediction came, once so many have.
func (s *service) wait(r *rig.Rig, n int) map[string]time.Time {
	rig.Check(r.Until(fmt.Sprintf("%d events are forwarded", n), 5*patience, 5*time.Millisecond, func(context.Context) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.came) >= n
	}))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}

// rate is how many came in a second, all but the first fifth.
func rate(came map[string]time.Time) float64 {
	all := make([]time.Time, 0, len(came))
	for _, at := range came {
		all = append(all, at)
	}
	slices.SortFunc(all, time.Time.Compare)
	warm := len(all) / 5
	return float64(len(all)-warm) / all[len(all)-1].Sub(all[warm]).Seconds()
}

// serviceName is the consumer that forwards.
const serviceName = "service"

// forwardTo is the configuration of a bridge whose one consumer forwards failed
// predictions to a service.
func forwardTo(url string, concurrency int, more string) string {
	return fmt.Sprintf(`consumers: {archive: {enabled: false}, %s: {kind: forward, url: %q, secret: "env:GET3W_WEBHOOK_SECRET", concurrency: %d, allow_private: true, filter: {status: failed}%s}}`,
		serviceName, url, concurrency, more)
}

const (
	passageRate  = 200
	passageConns = 32
)

// passage sends webhooks at a fixed rate until the service has each of them, and returns
// how long that took from when each was sent.
func passage(r *rig.Rig, bridge *rig.Bridge, target *service, w rig.Window) metrics {
	p := openPool(r, passageRate, w)
	sent, answered := make([]time.Time, p.Count), make([]time.Time, p.Count)
	workers, hangUp := p.Senders(r.Context(), bridge.Webhooks, passageConns, rig.Stored)
	defer hangUp()
	for n, send := range workers {
		workers[n] = func(ctx context.Context, i int) error {
			sent[i] = time.Now()
			err := send(ctx, i)
			answered[i] = time.Now()
			return err
		}
	}
	target.begin(0, http.StatusNoContent)
	if _, err := rig.OpenLoop(r.Context(), workers, passageRate, p, w); err != nil {
		rig.Check(bridge.Explain(err))
	}
	count := rig.LoopCount(passageRate, w)
	came := target.wait(r, count)
	var toAnswer, toService []time.Duration
	for i := rig.LoopCount(passageRate, rig.Window{Measured: w.Warm}); i < count; i++ {
		toAnswer = append(toAnswer, answered[i].Sub(sent[i]))
		toService = append(toService, came[p.ID(i)].Sub(sent[i]))
	}
	return metrics{
		"answered p50": inMs(rig.Percentile(toAnswer, 50)), "answered p99": inMs(rig.Percentile(toAnswer, 99)),
		"begun p50": inMs(rig.Percentile(toService, 50)), "begun p99": inMs(rig.Percentile(toService, 99)),
	}
}

// starting looks at the time from a webhook to what acts on it.
func starting() scenario {
	const workers = 8 // how many events the bridge forwards at once
	return scenario{
		name: "started", title: "From a webhook to the handler",
		begin: func(b *bench, r *rig.Rig) [][]way {
			target := &service{}
			url := target.serve(r)
			return alone(func(r *rig.Rig) metrics {
				bridge := startBridge(r, rig.BridgeConfig{More: forwardTo(url, workers, "")})
				m := passage(r, bridge, target, b.steady())
				m["peak"] = peak(bridge.Process)
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d webhooks a second over %d connections, by the clock, to `hookspan serve` in a process of its own with a consumer of kind forward, %d at once. The handler begins when a service on the same machine has the header of its request. "+
				"Times count from when a webhook was sent, so they hold its way in, its sync and its way out.", passageRate, passageConns, workers)
			s.head = []string{"", "measured"}
			s.row("sent until answered, p50", ms(d.of("answered p50")))
			s.row("sent until answered, p99", ms(d.of("answered p99")))
			s.row("sent until the handler began, p50", ms(d.of("begun p50")))
			s.row("sent until the handler began, p99", ms(d.of("begun p99")))
			s.row("the most memory it ever had", mibs(d.of("peak")))
			s.under(2, d.of("begun p50"), ms, "200 webhooks a second: the handler begins within 2 ms of the sending, p50")
			s.under(consumeMemory, d.of("peak"), mibs, "200 webhooks a second with their handler: never over 96 MiB")
		},
	}
}

// waiting compares a bridge on which nothing waits with one on which much does.
func waiting() scenario {
	const (
		events = 100_000
		dead   = 1_000
		fresh  = 10_000
		conns  = 64
		// workers is how many events the bridge forwards at once.
		workers = 64
		// retry is the wait of an event that failed once.
		retry = ", refuse: [422], retry: {first: 6h}"
	)
	return scenario{
		name: "waiting", title: "Beside many that wait",
		begin: func(b *bench, r *rig.Rig) [][]way {
			target := &service{}
			url := target.serve(r)
			b.progress("making %d events wait", events)
			target.begin(dead, http.StatusConflict)
			r.Within("made", func(made *rig.Rig) {
				bridge := startBridge(made, rig.BridgeConfig{Data: r.Path("much"), More: forwardTo(url, 256, retry)})
				sendAll(bridge, 256, made.NewPool(events+dead, failedWebhook()))
				target.wait(made, events+dead)
				untilWaiting(made, bridge, events)
			})
			p := r.NewPool(fresh, failedWebhook())
			measure := func(data string) func(*rig.Rig) metrics {
				return func(round *rig.Rig) metrics {
					bridge := startBridge(round, rig.BridgeConfig{Data: data, More: forwardTo(url, workers, retry)})
					m := passage(round, bridge, target, b.steady())
					p.Renew(fresh)
					target.begin(0, http.StatusNoContent)
					began := time.Now()
					sendAll(bridge, conns, p)
					var last time.Time
					for _, at := range target.wait(round, fresh) {
						last = slices.MaxFunc([]time.Time{last, at}, time.Time.Compare)
					}
					m["rate"], m["peak"], m["start"] = fresh/last.Sub(began).Seconds(), peak(bridge.Process), bridge.Started.Seconds()
					return m
				}
			}
			return [][]way{{{"none", measure(r.Path("none"))}, {"much", measure(r.Path("much"))}}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("`hookspan serve` in a process of its own with a consumer of kind forward, %d at once, started anew for each round: once where nothing waits, and once where that consumer has %d events that wait hours for their next attempt, and %d dead letters. "+
				"Times are of %d webhooks a second, from when one was sent until the service had it; then %d webhooks over %d connections as fast as they were answered, until the service had all.",
				workers, events, dead, passageRate, fresh, conns)
			s.head = []string{"waiting", "p50 ms", "p99 ms", "sent and handled, /s", "memory", "start, s"}
			for _, one := range []struct{ title, key string }{{"none", "none "}, {fmt.Sprint(events), "much "}} {
				s.row(one.title, decimal(d.of(one.key+"begun p50")), decimal(d.of(one.key+"begun p99")), integer(d.of(one.key+"rate")), mibs(d.of(one.key+"peak")), decimal(d.of(one.key+"start")))
			}
			s.under(1.2, d.ratio("much begun p50", "none begun p50"), percent, "100,000 events wait: from a webhook to its handler less than 120 % of the time where none does, p50")
			s.atLeast(0.8, d.ratio("much rate", "none rate"), percent, "100,000 events wait: at least 80 % of the throughput where none does")
			s.under(consumeMemory, d.of("much peak"), mibs, "100,000 events wait: never over 96 MiB")
		},
	}
}

// untilWaiting returns when so many events wait for their next attempt.
func untilWaiting(r *rig.Rig, bridge *rig.Bridge, n int) {
	rig.Check(r.Until("the events wait", 5*patience, 100*time.Millisecond, func(context.Context) bool {
		var consumer struct{ Pending, Unsettled, Later int }
		rig.Check(json.Unmarshal(r.Get(bridge.Admin+"/api/v1/consumers/"+serviceName), &consumer))
		return consumer.Later == n && consumer.Pending+consumer.Unsettled == 0
	}))
}
