package main

import (
	"fmt"
	"runtime"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// external compares a bridge in front of a NATS server with a client of that server.
func external() scenario {
	const conns = 256
	return scenario{
		name: "external", title: "External NATS that syncs always",
		begin: func(b *bench, r *rig.Rig) [][]way {
			server := r.StartNATS(rig.NATSConfig{})
			bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(server.URL)})
			untilDirect(r, bridge)
			js := rig.Must(jetstream.New(server.Connect()))
			like := lastStored(r, js, rig.EventsStream, rig.EventsPrefix+">")
			p := closedPool(r, b.window())
			return [][]way{{
				{"whole", func(*rig.Rig) metrics {
					p.Renew(p.Count)
					return sampleMetrics(bridge.Load(conns, p, b.window()))
				}},
				{"single", func(r *rig.Rig) metrics {
					p.Renew(p.Count)
					workers := clients(js, like, p, conns)
					runtime.GC()
					return sampleMetrics(rig.Must(rig.Load(r.Context(), workers, p, b.window())))
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("A NATS server with `sync_interval: always` in a process of its own on the same machine, reached over TCP. **whole** is `hookspan serve` in another process, with its spool, and %d connections. "+
				"**single** is a plain client without a bridge, `PublishMsg` by %d goroutines to the same stream.", conns, conns)
			s.rateRows(d, map[string]string{"whole": "whole", "single": "single"})
			s.atLeast(4, d.ratio("whole events/s", "single events/s"), times, "external NATS that syncs always, 256 connections: at least 4 times single publishes")
		},
	}
}
