package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	goodRate        = 200
	goodConnections = 32
	// forgers is how many connections send forged webhooks, each the next one as
	// soon as one is refused. More would measure the senders: they share the
	// processors with the bridge.
	forgers  = 64
	floodBar = 10
)

// measureFlood compares good deliveries with and without a flood of forged ones.
func (b *bench) measureFlood(ctx context.Context) (f finding, err error) {
	p, err := openPool(goodRate, b.steady(), 2*b.rounds)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: b.inDir("flood")})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var quiet, flooded, refused []float64
	for range b.rounds {
		took, err := openLoopAt(ctx, c.addr, goodConnections, goodRate, p, b.steady())
		if err != nil {
			return f, c.explain(err)
		}
		quiet = append(quiet, inMs(percentile(took, 99)))
		p99, rate, err := b.flooded(ctx, c, p)
		if err != nil {
			return f, c.explain(err)
		}
		flooded, refused = append(flooded, p99), append(refused, rate)
	}
	f.text = fmt.Sprintf("%d good requests a second over %d connections, by the clock, while another process sends webhooks with a wrong signature over %d connections, as fast as they are refused and this machine lets it.", goodRate, goodConnections, forgers)
	f.head = []string{"", "measured"}
	f.row("p99 of good ones, quiet", decimal(spreadOf(quiet))+" ms")
	f.row("p99 of good ones, flooded", decimal(spreadOf(flooded))+" ms")
	f.row("forged ones refused", integer(spreadOf(refused))+" /s")
	r := paired(flooded, quiet, ratio)
	f.under(r, floodBar, "good deliveries among a flood of forged ones: p99 under 10 times the quiet one", times(r))
	return f, nil
}

// flooded returns the p99 of good deliveries in ms, and how many forged ones were
// refused in a second.
func (b *bench) flooded(ctx context.Context, c *child, good *pool) (p99, rate float64, err error) {
	flood, _, err := startMode(ctx, "the flood", b.inDir("flood"), modeForge, c.addr, false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, flood.stop()) }()
	took, err := openLoopAt(ctx, c.addr, goodConnections, goodRate, good, b.steady())
	if err != nil {
		return 0, 0, err
	}
	line, err := flood.lastLine()
	if err != nil {
		return 0, 0, err
	}
	if err := json.Unmarshal(line, &rate); err != nil {
		return 0, 0, fmt.Errorf("reading the rate of the flood: %w", err)
	}
	return inMs(percentile(took, 99)), rate, nil
}
