package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func traced() scenario {
	const (
		conns = 64
		turns = 4 // of each bridge in a round
	)
	return scenario{
		name: "traces", title: "Traces",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := closedPool(r, b.window())
			return alone(func(r *rig.Rig) metrics {
				var taken atomic.Int64
				collector := r.Serve(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					n, _ := io.Copy(io.Discard, req.Body) // the exporter sends it again
					taken.Add(n)
				}))
				bridges := []*rig.Bridge{
					startBridge(r, rig.BridgeConfig{Name: "off"}),
					startBridge(r, rig.BridgeConfig{Name: "on", Env: []string{
						"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
					}}),
				}
				m := metrics{}
				for turn := range turns {
					for i := range bridges {
						bridge := bridges[(turn+i)%len(bridges)]
						p.Renew(p.Count)
						for _, b := range bridges {
							untilAllFolded(r, b)
						}
						before := bridge.ProcessorOfAll()
						rate := bridge.Load(conns, p, b.window()).Rate
						m[bridge.Name+" events/s"] += rate / turns
						m[bridge.Name+" processor"] += (bridge.ProcessorOfAll() - before).Seconds() * 1e6 / (rate * (b.warm + b.time).Seconds()) / turns
					}
				}
				m["spans"] = bridges[1].Metric(`hookspan_trace_spans_total{result="sent"}`) / (turns * (b.warm + b.time).Seconds())
				m["lost"] = bridges[1].Metric(`hookspan_trace_spans_total{result="lost"}`)
				m["taken"] = float64(taken.Load()) / kib / (turns * (b.warm + b.time).Seconds())
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" way", "events/s", "processor time of an event, µs"}
			s.row("no traces", integer(d.of("off events/s")), integer(d.of("off processor")))
			s.row("a tenth of them", integer(d.of("on events/s")), integer(d.of("on processor")))
			s.row("to the one without", percent(d.ratio("on events/s", "off events/s")), percent(d.ratio("on processor", "off processor")))
			s.row("spans sent a second, lost", integer(d.of("spans")), integer(d.of("lost")))
			s.row("KiB a second to the collector", integer(d.of("taken")), "")
			s.atLeast(0.95, d.ratio("on events/s", "off events/s"), percent, "64 connections: a tenth of the traces leave at least 95 % of the throughput without any")
		},
	}
}

// untilAllFolded waits until the view has every event that was stored.
func untilAllFolded(r *rig.Rig, bridge *rig.Bridge) {
	rig.Check(r.Until("the view has every event", patience, 20*time.Millisecond, func(context.Context) bool {
		return bridge.Metric(`hookspan_journal_records`)+bridge.Metric(`hookspan_view_behind{stream="`+rig.EventsStream+`"}`) == 0
	}))
}
