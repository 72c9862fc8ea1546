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
	longestWait  = 5 * time.Minute // how long one request waits
	waitersGauge = "hookspan_prediction_waiters"
)

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
					all.send(bridge, 1, func(ctx context.Context, workers []rig.Worker) error {
						for i := range ends {
							var group errgroup.Group
							group.Go(func() (err error) { all.reached[i], err = await(ctx, bridge, p.ID(i)); return err })
							untilMetric(r, bridge, waitersGauge, 1) //nolint:contextcheck // the rig has it
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
						go func() { _, _ = await(forgotten, bridge, idle.ID(i)) }() // it has no end
					}
					count := rig.LoopCount(rate, b.steady())
					p := r.NewPool(count, failedWebhook())
					announce(r, bridge, p)
					all := newPassages(p)
					var group errgroup.Group
					for i := range count {
						group.Go(func() (err error) { all.reached[i], err = await(r.Context(), bridge, p.ID(i)); return err })
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

// needsFiles says why a process cannot measure that may have fewer files open.
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

// apiConn is a connection to the API of a bridge.
func apiConn(bridge *rig.Bridge, timeout time.Duration) *rig.Conn {
	return &rig.Conn{Addr: strings.TrimPrefix(bridge.Admin, "http://"), Timeout: timeout}
}

// await returns when the bridge has answered that the prediction has ended.
func await(ctx context.Context, bridge *rig.Bridge, id string) (at time.Time, err error) {
	conn := apiConn(bridge, longestWait)
	defer conn.Close()
	answer, err := conn.Post(ctx, fmt.Appendf(nil, "GET /api/v1/predictions/%s/%s?wait=%v HTTP/1.1\r\nHost: %s\r\n\r\n", rig.SourceName, id, longestWait, conn.Addr))
	at = time.Now()
	ended := bytes.Contains(answer.Body, []byte(`"status":"failed"`)) || bytes.Contains(answer.Body, []byte(`"status":"completed"`))
	if err == nil && (answer.Status != http.StatusOK || !bytes.Contains(answer.Body, []byte(id)) || !ended) {
		err = fmt.Errorf("who waited for %s was answered %d %q", id, answer.Status, answer.Body)
	}
	return at, err
}

// announce has every prediction of a pool watched, by many connections.
func announce(r *rig.Rig, bridge *rig.Bridge, p *rig.Pool) {
	const conns = 64
	var group errgroup.Group
	for n := range conns {
		group.Go(func() error {
			conn := apiConn(bridge, rig.AnswerTimeout)
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
