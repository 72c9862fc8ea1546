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

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

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
					rig.Must(bridge.Stop())
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
	post := func(ctx context.Context, i int) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(p.Body(i)))
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	rig.Must(rig.Load(r.Context(), slices.Repeat([]rig.Worker{post}, atOnce), p, untilEmpty))
}

// service takes the events of a bridge, and notes when each prediction came first.
type service struct {
	mu      sync.Mutex
	came    map[string]time.Time
	answers []int // of the first requests, one after the other; then rest
	rest    int
}

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

const serviceName = "service"

// forwardTo has a bridge forward failed predictions to a service, and do nothing else.
func forwardTo(url string, concurrency int, more string) string {
	return fmt.Sprintf(`consumers: {archive: {enabled: false}, %s: {kind: forward, url: %q, secret: "env:GET3W_WEBHOOK_SECRET", concurrency: %d, allow_private: true, filter: {status: failed}%s}}`,
		serviceName, url, concurrency, more)
}

const (
	passageRate  = 200
	passageConns = 32
)

// passage sends webhooks at a fixed rate until the service has each of them.
func passage(r *rig.Rig, bridge *rig.Bridge, target *service, w rig.Window) metrics {
	all := newPassages(openPool(r, passageRate, w))
	target.begin(0, http.StatusNoContent)
	all.loop(bridge, passageConns, passageRate, w)
	count := rig.LoopCount(passageRate, w)
	came := target.wait(r, count)
	for i := range count {
		all.reached[i] = came[all.pool.ID(i)]
	}
	return all.metrics(rig.LoopCount(passageRate, rig.Window{Measured: w.Warm}), count)
}

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
			s.row("sent until answered, p50", ms(d.of("answered p50")))
			s.row("sent until answered, p99", ms(d.of("answered p99")))
			s.row("sent until the handler began, p50", ms(d.of("sent p50")))
			s.row("sent until the handler began, p99", ms(d.of("sent p99")))
			s.row("the most memory it ever had", mibs(d.of("peak")))
			s.under(2, d.of("sent p50"), ms, "200 webhooks a second: the handler begins within 2 ms of the sending, p50")
			s.under(consumeMemory, d.of("peak"), mibs, "200 webhooks a second with their handler: never over 96 MiB")
		},
	}
}

func waiting() scenario {
	const (
		events  = 100_000
		dead    = 1_000
		fresh   = 10_000
		conns   = 64
		workers = 64                                    // how many events the bridge forwards at once
		retry   = ", refuse: [422], retry: {first: 6h}" // the wait of an event that failed once
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
			s.head = []string{"waiting", "p50 ms", "p99 ms", "sent and handled, /s", "memory", "start, s"}
			for _, one := range []struct{ title, key string }{{"none", "none "}, {fmt.Sprint(events), "much "}} {
				s.row(one.title, decimal(d.of(one.key+"sent p50")), decimal(d.of(one.key+"sent p99")), integer(d.of(one.key+"rate")), mibs(d.of(one.key+"peak")), decimal(d.of(one.key+"start")))
			}
			s.under(1.2, d.ratio("much sent p50", "none sent p50"), percent, "100,000 events wait: from a webhook to its handler less than 120 % of the time where none does, p50")
			s.atLeast(0.8, d.ratio("much rate", "none rate"), percent, "100,000 events wait: at least 80 % of the throughput where none does")
			s.under(consumeMemory, d.of("much peak"), mibs, "100,000 events wait: never over 96 MiB")
		},
	}
}

func untilWaiting(r *rig.Rig, bridge *rig.Bridge, n int) {
	rig.Check(r.Until("the events wait", 5*patience, 100*time.Millisecond, func(context.Context) bool {
		var consumer struct{ Pending, Unsettled, Later int }
		rig.Check(json.Unmarshal(r.Get(bridge.Admin+"/api/v1/consumers/"+serviceName), &consumer))
		return consumer.Later == n && consumer.Pending+consumer.Unsettled == 0
	}))
}
