package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

var connections = []int{1, 16, 64, 256}

// variant is one of the ways that are compared.
type variant int

const (
	whole   variant = iota // the ingress with durable publish
	verify                 // the same ingress without publish
	bare                   // durable publish without ingress
	batched                // the same in batches
	variants
)

const (
	// poolRate is how many requests per second a pool has. It is more than a disk
	// syncs; where it is not, a load ends when its pool is empty.
	poolRate = 40_000
	// fewConnections and less need not more than fewRate requests per second: making
	// them takes longer than measuring.
	fewConnections, fewRate = 16, 16_000
)

// poolSize is how many requests a load over n connections takes at most.
func poolSize(n int, w window) int {
	rate := poolRate
	if n <= fewConnections {
		rate = fewRate
	}
	return int((w.warm + w.measured).Seconds() * float64(rate))
}

// samples are by variant and connections, one for each round.
type samples map[variant]map[int][]sample

// measureThroughput runs the rounds. In each the variants follow each other
// closely, and begin with another one each time, so that whatever else the machine
// does meets them all.
func (b *bench) measureThroughput(ctx context.Context) (f finding, err error) {
	p, err := newPool(poolSize(slices.Max(connections), window{b.warm, b.time}), completedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	s := samples{whole: {}, verify: {}, bare: {}, batched: {}}
	for round := range b.rounds {
		if err := b.round(ctx, round, p, s); err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	return s.finding(len(p.bodyOf(0))), nil
}

func (b *bench) round(ctx context.Context, round int, p *pool, all samples) (err error) {
	dir := b.inDir("rig")
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
			all[v][n] = append(all[v][n], s)
		}
	}
	return nil
}

func (r *rig) measure(ctx context.Context, v variant, n int, p *pool, w window) (sample, error) {
	p.renew(poolSize(n, w))
	p.again = v == verify // nothing there knows a duplicate
	if v == bare || v == batched {
		return measureClient(ctx, r.bare, v == batched, n, p, w)
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
	return sendersBy(ctx, addr, n, p, (*sender).send)
}

func sendersBy(ctx context.Context, addr string, n int, p *pool, send func(*sender, []byte) error) (workers []worker, hangUp func(), err error) {
	all, hangUp, err := dialAll(ctx, addr, n)
	for _, s := range all {
		workers = append(workers, func(_ context.Context, i int) error { return send(s, p.request(i)) })
	}
	return workers, hangUp, err
}

// measureClient has n goroutines publish what an ingress would, without one.
func measureClient(ctx context.Context, js jetstream.JetStream, batches bool, n int, p *pool, w window) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, w.warm+w.measured+answerTimeout)
	defer cancel()
	publish := singly(js)
	if batches {
		committer := newBatcher(js)
		done := make(chan struct{})
		running, stop := context.WithCancel(ctx)
		go func() { defer close(done); committer.run(running) }()
		defer func() { stop(); <-done }()
		publish = committer.publish
	}
	workers, err := clients(n, p, publish)
	if err != nil {
		return sample{}, err
	}
	runtime.GC()
	return load(ctx, workers, p, w)
}

// clients are n workers that publish what an ingress would make of the requests.
func clients(n int, p *pool, publish func(context.Context, *nats.Msg) error) ([]worker, error) {
	msgs, err := messages(p)
	if err != nil {
		return nil, err
	}
	return slices.Repeat([]worker{func(ctx context.Context, i int) error { return publish(ctx, msgs[i]) }}, n), nil
}

// singly publishes one message and returns when it is stored.
func singly(js jetstream.JetStream) func(context.Context, *nats.Msg) error {
	return func(ctx context.Context, m *nats.Msg) error {
		ack, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		if ack.Duplicate {
			return fmt.Errorf("%w: it is a duplicate", errNotStored)
		}
		return nil
	}
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
	case bare:
		return "bare"
	default:
		return "bare batched"
	}
}

func (s samples) finding(bodyBytes int) finding {
	f := finding{
		text: fmt.Sprintf(`A webhook of a completed prediction is %d bytes; each has its own id and a valid signature. Four ways are compared, all in one process with an embedded NATS that syncs before it acknowledges:

- **%v**: HTTP, verification, and the answer after the event is on the disk; what `+"`serve`"+` does. Log lines are encoded and dropped.
- **%v**: the same, but nothing is stored.
- **%v**: `+"`PublishMsg`"+` of nats.go with the same messages, to the same stream, by as many goroutines as there are connections.
- **%v**: the same goroutines, but one of them commits whatever waits as one atomic batch.

Ratios are of events per second.`, bodyBytes, whole, verify, bare, batched),
		head: []string{"connections", " way", "events/s", "p50 ms", "p99 ms", "whole to it"},
	}
	for _, n := range connections {
		for v := range variants {
			to := ""
			if v != whole {
				to = percent(paired(s[whole][n], s[v][n], rates))
			}
			f.row(strconv.Itoa(n), v.String(), integer(over(s[v][n], sample.perSecond)),
				fmt.Sprintf("%.2f", over(s[v][n], sample.p50ms).median), fmt.Sprintf("%.2f", over(s[v][n], sample.p99ms).median), to)
		}
	}
	delay := paired(s[whole][1], s[bare][1], func(a, b sample) float64 { return a.p50ms() - b.p50ms() })
	f.under(delay, 0.25, "at 1 connection, p50 less than 0.25 ms above bare publish", signed(delay)+" ms")
	for _, n := range []int{64, 256} {
		r := paired(s[whole][n], s[batched][n], rates)
		f.atLeast(r, 0.65, 0, fmt.Sprintf("at %d connections, at least 65 %% of bare batched publish", n), percent(r))
		least, stretch := 0.20, 0.35
		if n == 256 {
			least, stretch = 0.35, 0.50
		}
		r = paired(s[whole][n], s[verify][n], rates)
		f.atLeast(r, least, stretch, fmt.Sprintf("at %d connections, at least %.0f %% of no publish (stretch %.0f %%)", n, 100*least, 100*stretch), percent(r))
	}
	return f
}

func (s sample) perSecond() float64 { return s.rate }
func (s sample) p50ms() float64     { return inMs(s.p50) }
func (s sample) p99ms() float64     { return inMs(s.p99) }
