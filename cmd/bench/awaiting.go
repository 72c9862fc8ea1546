package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	// longestWait is how long one request waits.
	longestWait  = 5 * time.Minute
	waitersGauge = "hookspan_prediction_waiters"
)

// awaiting looks at those who wait for the end of a prediction by the API.
func awaiting() scenario {
	const (
		ends  = 100  // predictions that are waited for one after the other
		crowd = 5000 // waiters of predictions that do not end
		rate  = 300
		conns = 32
	)
	return scenario{
		name: "await", title: "Waiting for predictions", missing: needsFiles(2 * crowd),
		begin: func(b *bench, r *rig.Rig) [][]way {
			bridge := startBridge(r, rig.BridgeConfig{})
			return [][]way{
				{{"one", func(r *rig.Rig) metrics {
					p := r.NewPool(ends, failedWebhook())
					announce(r, bridge, p)
					all := newPassages(p)
					w := newWaiter(bridge)
					defer w.Close()
					all.send(bridge, 1, func(ctx context.Context, workers []rig.Worker) error {
						for i := range ends {
							var group errgroup.Group
							group.Go(func() (err error) { all.reached[i], err = w.wait(ctx, p.ID(i)); return err })
							untilMetric(r, bridge, waitersGauge, 1)
							rig.Check(workers[0](ctx, i))
							rig.Check(group.Wait())
						}
						return nil
					})
					return all.metrics(0, ends)
				}}},
				{{"crowd", func(r *rig.Rig) metrics {
					idle := r.NewPool(crowd, failedWebhook())
					announce(r, bridge, idle)
					forgotten, disperse := context.WithCancel(r.Context())
					defer disperse()
					for i := range crowd {
						go func() { _, _ = newWaiter(bridge).wait(forgotten, idle.ID(i)) }() // it has no end
					}
					count := rig.LoopCount(rate, b.steady())
					p := r.NewPool(count, failedWebhook())
					announce(r, bridge, p)
					all := newPassages(p)
					var group errgroup.Group
					for i := range count {
						group.Go(func() (err error) {
							w := newWaiter(bridge)
							defer w.Close()
							all.reached[i], err = w.wait(r.Context(), p.ID(i))
							return err
						})
					}
					untilMetric(r, bridge, waitersGauge, float64(crowd+count))
					memory := settled(r, bridge.Process)[0]
					all.loop(bridge, conns, rate, b.steady())
					rig.Check(group.Wait())
					m := all.metrics(rig.LoopCount(rate, rig.Window{Measured: b.warm}), count)
					m["memory"] = memory
					return m
				}}},
			}
		},
		report: func(_ *bench, d data, s *section) {
			s.row("one waits: webhook sent until its answer, p50", ms(d.of("one sent p50")))
			s.row("the same, p99", ms(d.of("one sent p99")))
			s.row("one waits: webhook answered until its answer, p50", ms(d.of("one stored p50")))
			s.row("5,000 wait: webhook sent until the answer, p50", ms(d.of("crowd sent p50")))
			s.row("the same, p99", ms(d.of("crowd sent p99")))
			s.row("5,000 wait: webhook answered until the answer, p50", ms(d.of("crowd stored p50")))
			s.row("the same, p99", ms(d.of("crowd stored p99")))
			s.row("memory of the bridge while they wait", mibs(d.of("crowd memory")))
			s.under(5, d.of("one sent p50"), ms, "who waits for a prediction has its end within 5 ms of the sending of its webhook, p50")
			s.under(20, d.of("crowd sent p99"), ms, "the same beside 5,000 who wait, 300 webhooks a second: p99 under 20 ms")
		},
	}
}

// needsFiles says why a scenario cannot be measured by a process that can have fewer open
// files.
func needsFiles(n uint64) func(string) string {
	return func(string) string {
		var limit unix.Rlimit
		rig.Check(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
		if limit.Max < n {
			return fmt.Sprintf("a process can have %d files open, this needs %d", limit.Max, n)
		}
		return ""
	}
}

// waiter is a connection that waits for predictions.
type waiter struct{ rig.Conn }

func newWaiter(bridge *rig.Bridge) *waiter {
	return &waiter{rig.Conn{Addr: apiAddress(bridge), Timeout: longestWait}}
}

// wait returns when the prediction has its end, and it was told so.
func (w *waiter) wait(ctx context.Context, id string) (at time.Time, err error) {
	answer, err := w.Post(ctx, fmt.Appendf(nil, "GET /api/v1/predictions/%s/%s?wait=%v HTTP/1.1\r\nHost: %s\r\n\r\n", rig.SourceName, id, longestWait, w.Addr))
	at = time.Now()
	ended := bytes.Contains(answer.Body, []byte(`"status":"failed"`)) || bytes.Contains(answer.Body, []byte(`"status":"completed"`))
	if err == nil && (answer.Status != http.StatusOK || !bytes.Contains(answer.Body, []byte(id)) || !ended) {
		err = fmt.Errorf("who waited for %s was answered %d %q", id, answer.Status, answer.Body)
	}
	return at, err
}

func apiAddress(bridge *rig.Bridge) string { return strings.TrimPrefix(bridge.Admin, "http://") }

// announce has every prediction of a pool watched, by many connections.
func announce(r *rig.Rig, bridge *rig.Bridge, p *rig.Pool) {
	const conns = 64
	var group errgroup.Group
	for n := range conns {
		group.Go(func() error {
			conn := &rig.Conn{Addr: apiAddress(bridge), Timeout: rig.AnswerTimeout}
			defer conn.Close()
			for i := n; i < p.Count; i += conns {
				answer, err := conn.Post(r.Context(), fmt.Appendf(nil, "PUT /api/v1/predictions/%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
					rig.SourceName, p.ID(i), conn.Addr))
				if err == nil && answer.Status != http.StatusOK {
					err = fmt.Errorf("announcing a prediction was answered %d %q", answer.Status, answer.Body)
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
