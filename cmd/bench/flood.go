package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	modeForge = "forge"
	// forgers is how many connections send forged webhooks. More would measure the
	// senders: they share the processors with the bridge.
	forgers = 64
)

// flooded compares good deliveries with and without a flood of forged ones.
func flooded() scenario {
	const (
		rate  = 200
		conns = 32
	)
	return scenario{
		name: "flood", title: "Good deliveries among forged ones",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := openPool(r, rate, b.steady())
			bridge := startBridge(r, rig.BridgeConfig{})
			good := func() float64 {
				p.Renew(p.Count)
				return inMs(rig.Percentile(bridge.OpenLoop(conns, rate, p, b.steady()), 99))
			}
			return [][]way{{
				{"quiet", func(*rig.Rig) metrics { return metrics{"p99": good()} }},
				{"flooded", func(r *rig.Rig) metrics {
					flood := r.StartMode("flood", 0, modeForge, bridge.Webhooks)
					m := metrics{"p99": good()}
					flood.MustStop()
					var refused float64
					rig.Check(json.Unmarshal(rig.Must(flood.Line(r.Context())), &refused))
					m["refused"] = refused
					return m
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d good requests a second over %d connections, by the clock, while another process sends webhooks with a wrong signature over %d connections, as fast as they are refused and this machine lets it.", rate, conns, forgers)
			s.head = []string{"", "measured"}
			s.row("p99 of good ones, quiet", ms(d.of("quiet p99")))
			s.row("p99 of good ones, flooded", ms(d.of("flooded p99")))
			s.row("forged ones refused", perSecond(d.of("flooded refused")))
			s.under(10, d.ratio("flooded p99", "quiet p99"), times, "good deliveries among a flood of forged ones: p99 under 10 times the quiet one")
		},
	}
}

// runForge sends forged webhooks to the address that args names, over each connection the
// next one when one is refused, until it is told to end. It is a process of its own, so
// that good deliveries do not wait in its queues. Its last line is how many webhooks were
// refused in a second.
func runForge(ctx context.Context, args []string, stdout io.Writer) error {
	body := failedWebhook().Body()
	signature := []byte(rig.Sign(body))
	signature[0] ^= 1 // still a hexadecimal digit
	request := rig.Request(body, string(signature))
	if err := rig.Ready(stdout, nil); err != nil {
		return err
	}
	var refused atomic.Int64
	begin := time.Now()
	var group errgroup.Group
	for range forgers {
		group.Go(func() error {
			conn := &rig.Conn{Addr: args[0], Timeout: rig.AnswerTimeout}
			defer conn.Close()
			for ctx.Err() == nil {
				answer, err := conn.Post(context.WithoutCancel(ctx), request)
				if err != nil {
					return err
				}
				if answer.Status != http.StatusUnauthorized {
					return fmt.Errorf("a forged webhook was answered %d %q", answer.Status, answer.Body)
				}
				refused.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(float64(refused.Load()) / time.Since(begin).Seconds())
}
