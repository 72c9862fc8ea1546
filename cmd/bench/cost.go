package main

import (
	"fmt"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// costing looks at processor time and memory. The webhooks tell of failures, which the
// archive does not read: nothing is asked of the provider's hosts.
func costing() scenario {
	const (
		rate   = 400
		conns  = 16
		events = 50_000
		many   = 256 // connections by which they come
	)
	return scenario{
		name: "cost", title: "Processor and memory",
		begin: func(b *bench, _ *rig.Rig) [][]way {
			return alone(func(r *rig.Rig) metrics {
				bridge := startBridge(r, rig.BridgeConfig{})
				sendOne(r, bridge)
				idle := settled(r, bridge.Process)[0]
				w := rig.Window{Measured: b.steady().Measured}
				p := openPool(r, rate, w)
				before := bridge.Processor()
				took := bridge.OpenLoop(conns, rate, p, w)
				used := inMs(bridge.Processor()-before) / float64(len(took))
				load := sendAll(bridge, many, r.NewPool(events, failedWebhook()))
				return metrics{"processor": used, "idle": idle, "loaded": settled(r, bridge.Process)[0], "peak": peak(bridge.Process), "rate": load.Rate}
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("`hookspan serve` as a process of its own, a new one each round, with default settings. "+
				"Processor time (user and system, of the bridge with its embedded NATS) is for each event at %d requests a second over %d connections. "+
				"Memory is resident (VmRSS, the least of %.0f s; VmHWM for the most). The %d webhooks came over %d connections as fast as they were answered, and tell of failed predictions, which the archive does not read.",
				rate, conns, settleTime.Seconds(), events, many)
			s.head = []string{"", "measured"}
			s.row("processor time of an event", ms(d.of("processor")))
			s.row("memory after one webhook", mibs(d.of("idle")))
			s.row(fmt.Sprintf("memory after %d webhooks (%.0f/s)", events, d.of("rate").median), mibs(d.of("loaded")))
			s.row("the most memory it ever had", mibs(d.of("peak")))
			s.under(0.25, d.of("processor"), ms, "400 requests a second: under 0.25 ms of processor time for each")
			s.under(40, d.of("idle"), mibs, "idle under 40 MiB")
			s.under(64, d.of("peak"), mibs, "256 connections, up to 50,000 events stored: never over 64 MiB")
		},
	}
}
