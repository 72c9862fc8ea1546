package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const slowConnections = 256

// measureSlow runs a rig whose every fsync is slowed, with the senders outside.
func (b *bench) measureSlow(ctx context.Context) (f finding, err error) {
	if f.text = noSlower(); f.text != "" {
		return f, nil
	}
	var grouped, singles []sample
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		g, s, err := b.slowRound(ctx, round)
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		grouped, singles = append(grouped, g), append(singles, s)
	}
	f.text = fmt.Sprintf("The bridge and its embedded NATS are a process of their own in which each fsync takes %v longer (strace, which stops nothing else); %d connections from outside. "+
		"**single** is the same ingress in the same process, with one `PublishMsg` for each event.", slowBy, slowConnections)
	f.head = []string{" way", "events/s", "p50 ms", "p99 ms"}
	for _, v := range []struct {
		name string
		all  []sample
	}{{"whole", grouped}, {"single", singles}} {
		f.row(v.name, integer(over(v.all, sample.perSecond)), decimal(over(v.all, sample.p50ms)), decimal(over(v.all, sample.p99ms)))
	}
	r := paired(grouped, singles, rates)
	f.atLeast(r, 20, 60, "every fsync 2 ms slower, 256 connections: at least 20 times single publishes (stretch 60)", times(r))
	return f, nil
}

func (b *bench) slowRound(ctx context.Context, round int) (grouped, singles sample, err error) {
	dir := b.inDir("slow")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return grouped, singles, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rig, ready, err := startMode(ctx, "the slowed bridge", dir, modeRig, dir+"/data", true)
	if err != nil {
		return grouped, singles, err
	}
	defer func() { err = errors.Join(err, rig.stop()) }()
	// A single publish waits for as many fsyncs as there are connections.
	w := window{warm: 2 * time.Second, measured: 2 * b.time}
	p, err := newPool(poolSize(slowConnections, w), failedWebhook())
	if err != nil {
		return grouped, singles, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	both := []struct {
		addr string
		to   *sample
	}{{ready.Whole, &grouped}, {ready.Singles, &singles}}
	for turn := range both {
		way := both[(round+turn)%len(both)]
		p.renew(p.count)
		workers, hangUp, err := senders(ctx, way.addr, slowConnections, p)
		if err != nil {
			return grouped, singles, err
		}
		*way.to, err = load(ctx, workers, p, w)
		hangUp()
		if err != nil {
			return grouped, singles, rig.explain(err)
		}
	}
	return grouped, singles, nil
}
