package main

import (
	"context"
	"errors"
	"fmt"
)

const (
	latencyRate        = 1000
	latencyConnections = 128
)

// measureLatency looks at the answers to a steady stream of requests.
func (b *bench) measureLatency(ctx context.Context) (f finding, err error) {
	p, err := openPool(latencyRate, b.steady(), b.rounds)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: b.inDir("latency")})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	points := []float64{50, 99, 99.9, 100}
	values := make([][]float64, len(points))
	for range b.rounds {
		took, err := openLoopAt(ctx, c.addr, latencyConnections, latencyRate, p, b.steady())
		if err != nil {
			return f, c.explain(err)
		}
		for i, point := range points {
			values[i] = append(values[i], inMs(percentile(took, point)))
		}
	}
	f.text = fmt.Sprintf("%d requests a second over %d connections, sent by the clock and not when the one before was answered; the time of an answer counts from when its request was due. "+
		"`hookspan serve` in a process of its own, with default settings.", latencyRate, latencyConnections)
	f.head = []string{"", "ms"}
	for i, name := range []string{"p50", "p99", "p99.9", "the slowest"} {
		f.row(name, decimal(spreadOf(values[i])))
	}
	p99, p999 := spreadOf(values[1]), spreadOf(values[2])
	f.under(p99, 5, "1,000 requests a second: p99 under 5 ms", decimal(p99)+" ms")
	f.under(p999, 25, "1,000 requests a second: p99.9 under 25 ms", decimal(p999)+" ms")
	return f, nil
}
