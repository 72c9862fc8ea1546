package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/streams"
)

const (
	drainEvents = 20_000
	spoolers    = 256
	drainBar    = 10_000
)

// drained is what one round gave, in events per second.
type drained struct {
	spool, batches float64
}

// measureDrain empties a spool into a NATS server that syncs each message and one
// that does not.
func (b *bench) measureDrain(ctx context.Context) (f finding, err error) {
	p, err := newPool(drainEvents, failedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	results := map[string][]drained{}
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		for turn := range 2 {
			sync := []string{syncAlways, syncSeldom}[(round+turn)%2]
			d, err := b.drainRound(ctx, sync, round, p)
			if err != nil {
				return f, fmt.Errorf("round %d: %w", round+1, err)
			}
			results[sync] = append(results[sync], d)
		}
	}
	f.text = fmt.Sprintf("A spool of %d events is emptied into a NATS server in a process of its own, reached over TCP. **batches** are the same messages as atomic batches of a thousand by a plain client, one behind the other, into the same stream.", drainEvents)
	f.head = []string{" `sync_interval` there", "spool, events/s", "batches, events/s", "spool to batches"}
	for _, sync := range []string{syncSeldom, syncAlways} {
		all := results[sync]
		f.row(sync, integer(over(all, drained.ofSpool)), integer(over(all, drained.ofBatches)), percent(over(all, drained.share)))
	}
	rate, share := over(results[syncSeldom], drained.ofSpool), over(results[syncAlways], drained.share)
	f.atLeast(rate, drainBar, 0, "draining the spool into a stream that does not sync each message: at least 10,000 events a second", integer(rate)+" /s")
	f.atLeast(share, 0.8, 0, "draining the spool into a stream that syncs: at least 80 % of what batches reach there", percent(share))
	return f, nil
}

func (d drained) ofSpool() float64   { return d.spool }
func (d drained) ofBatches() float64 { return d.batches }
func (d drained) share() float64     { return d.spool / d.batches }

func (b *bench) drainRound(ctx context.Context, sync string, round int, p *pool) (d drained, err error) {
	dir := b.inDir("drain")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := newServers(ctx, dir, 1, sync, false)
	if err != nil {
		return d, err
	}
	if err := servers[0].start(ctx); err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, servers[0].stop()) }()
	js, err := connect(servers[0].url)
	if err != nil {
		return d, err
	}
	defer js.Conn().Close()
	if err := stream.Provision(ctx, js, streams.Config{}, zap.NewNop()); err != nil {
		return d, err
	}
	if err := allowBatches(ctx, js, eventsStream()); err != nil {
		return d, err
	}
	for turn := range 2 {
		p.renew(p.count)
		msgs, err := messages(p)
		if err != nil {
			return d, err
		}
		if (round+turn)%2 == 0 {
			d.spool, err = drainSpool(ctx, dir+"/spool", js, msgs)
		} else {
			d.batches, err = publishBatches(ctx, js, msgs)
		}
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

// drainSpool fills a spool, and measures how fast it empties.
func drainSpool(ctx context.Context, dir string, js jetstream.JetStream, msgs []*nats.Msg) (rate float64, err error) {
	folder, err := datafolder.Open(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	spool, err := stream.OpenSpool(ctx, folder, stream.SpoolConfig{}, zap.NewNop())
	if err != nil {
		return 0, err
	}
	defer spool.Close()
	var group errgroup.Group
	group.SetLimit(spoolers)
	for _, m := range msgs {
		group.Go(func() error {
			_, err := spool.Store(ctx, eventsStream(), m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	publisher := stream.NewPublisher(js, bridge.Names{})
	defer publisher.Close()
	publisher.SetFit(true)
	begin := time.Now()
	if err := stream.NewDrainer(spool, publisher, instant{}, zap.NewNop()).Empty(ctx); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if state, err := spool.State(ctx); err != nil || state.Messages > 0 {
		return 0, errors.Join(fmt.Errorf("%d events are still in the spool", state.Messages), err)
	}
	return float64(len(msgs)) / took.Seconds(), nil
}

func publishBatches(ctx context.Context, js jetstream.JetStream, msgs []*nats.Msg) (rate float64, err error) {
	begin := time.Now()
	for from := 0; from < len(msgs); from += mostBatch {
		if err := commit(ctx, js.Conn(), msgs[from:min(from+mostBatch, len(msgs))]); err != nil {
			return 0, err
		}
	}
	return float64(len(msgs)) / time.Since(begin).Seconds(), nil
}
