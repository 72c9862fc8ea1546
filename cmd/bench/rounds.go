package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/source"
)

var connections = []int{1, 16, 64, 256}

// variant is one of the three ways that are compared.
type variant int

const (
	whole  variant = iota // the ingress with durable publish
	verify                // the same ingress without publish
	bare                  // durable publish without ingress
	variants
)

// poolRate is how many requests per second a pool has. It is more than a disk
// syncs; where it is not, a load ends when its pool is empty.
const poolRate = 16_000

// throughput is what the rounds gave.
type throughput struct {
	samples   map[variant]map[int][]sample // by connections, one for each round
	fsync     []time.Duration
	bodyBytes int
	others    float64 // share of the processors that other programs took
}

// measureThroughput runs the rounds. In each the variants follow each other
// closely, and begin with another one each time, so that whatever else the machine
// does meets them all.
func (b *bench) measureThroughput(ctx context.Context) (t throughput, err error) {
	p, err := newPool(int((b.warm+b.time).Seconds()*poolRate), completedWebhook())
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	t.samples = map[variant]map[int][]sample{whole: {}, verify: {}, bare: {}}
	t.bodyBytes = len(p.bodyOf(0))
	before, err := lookAtProcessors()
	if err != nil {
		return t, err
	}
	for round := range b.rounds {
		took, err := measureFsync(b.dir)
		if err != nil {
			return t, err
		}
		t.fsync = append(t.fsync, took...)
		if err := b.round(ctx, round, p, t); err != nil {
			return t, fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	after, err := lookAtProcessors()
	t.others = after.othersSince(before, runtime.NumCPU())
	return t, err
}

func (b *bench) round(ctx context.Context, round int, p *pool, t throughput) (err error) {
	dir := filepath.Join(b.dir, "rig")
	r, err := newRig(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(), os.RemoveAll(dir)) }()
	for _, n := range connections {
		b.progress("round %d of %d, %d connections", round+1, b.rounds, n)
		for turn := range variants {
			v := (variant(round) + turn) % variants
			s, err := r.measure(ctx, v, n, p, window{warm: b.warm, measured: b.time})
			if err != nil {
				return fmt.Errorf("%v, %d connections: %w", v, n, err)
			}
			t.samples[v][n] = append(t.samples[v][n], s)
		}
	}
	return nil
}

func (r *rig) measure(ctx context.Context, v variant, n int, p *pool, w window) (sample, error) {
	p.renew()
	p.again = v == verify // nothing there knows a duplicate
	if v == bare {
		return r.measureBare(ctx, n, p, w)
	}
	addr := r.durable
	if v == verify {
		addr = r.verify
	}
	workers, hangUp, err := senders(ctx, addr, n, p)
	if err != nil {
		return sample{}, err
	}
	defer hangUp()
	runtime.GC()
	return load(ctx, workers, p, w)
}

// senders connects n times. The function that it returns is never nil.
func senders(ctx context.Context, addr string, n int, p *pool) (workers []worker, hangUp func(), err error) {
	var all []*sender
	hangUp = func() {
		for _, s := range all {
			s.close()
		}
	}
	for range n {
		s, err := dial(ctx, addr)
		if err != nil {
			hangUp()
			return nil, func() {}, err
		}
		all = append(all, s)
		workers = append(workers, func(_ context.Context, i int) error { return s.send(p.request(i)) })
	}
	return workers, hangUp, nil
}

func (r *rig) measureBare(ctx context.Context, n int, p *pool, w window) (sample, error) {
	messages := make([]*nats.Msg, p.count)
	for i := range messages {
		var err error
		if messages[i], err = r.message(p, i); err != nil {
			return sample{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.warm+w.measured+answerTimeout)
	defer cancel()
	publish := func(ctx context.Context, i int) error {
		ack, err := r.bare.PublishMsg(ctx, messages[i], jetstream.WithRetryAttempts(0))
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		if ack.Duplicate {
			return fmt.Errorf("%w: it is a duplicate", errNotStored)
		}
		return nil
	}
	workers := make([]worker, n)
	for i := range workers {
		workers[i] = publish
	}
	runtime.GC()
	return load(ctx, workers, p, w)
}

// delivery is request i as the ingress gives it to its source.
func delivery(p *pool, i int) source.Delivery {
	return source.Delivery{
		Proof: p.proof(i), Body: p.bodyOf(i), ContentType: "application/json", ReceivedAt: time.Now(),
		Origin: bridge.OriginWebhook, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
	}
}

func (v variant) String() string {
	switch v {
	case whole:
		return "whole"
	case verify:
		return "no publish"
	default:
		return "bare"
	}
}
