package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	million           = 1_000_000
	storedConnections = 64
	// storedSpace is what a million stored events take on the disk, at most.
	storedSpace = 2 * gib
	restartBar  = 5.0 // seconds for each million
	// The events are younger than they may get and older than any duplicate.
	storedFirst, storedLast = 48 * time.Hour, 24 * time.Hour
)

// millions are the sizes that are compared.
var millions = []int{0, 1, 5}

// fullness is what bridges with the same number of stored events gave.
type fullness struct {
	dir           string
	rates, memory []float64 // one for each round
	restarts      []float64 // seconds
	// rebuilt and crashed are how long the start took without the server's index,
	// and after SIGKILL, in seconds. Zero for the empty one.
	rebuilt, crashed float64
}

// measureStored compares bridges whose streams hold nothing, and much.
func (b *bench) measureStored(ctx context.Context) (f finding, err error) {
	free, err := freeSpace(b.dir)
	if err != nil {
		return f, err
	}
	need := int64(0)
	for _, n := range millions {
		need += int64(n) * storedSpace
	}
	if free < need {
		f.text = fmt.Sprintf("Not measured: the disk has %s free, this needs %s.", inMiB(free), inMiB(need))
		return f, nil
	}
	all := make([]*fullness, len(millions))
	for i, n := range millions {
		b.progress("storing %d million events", n)
		all[i] = &fullness{dir: b.inDir("stored-" + strconv.Itoa(n))}
		defer func() { err = errors.Join(err, os.RemoveAll(all[i].dir)) }()
		if err := b.prepareStored(ctx, all[i], n); err != nil {
			return f, err
		}
	}
	p, err := newPool(poolSize(storedConnections, window{b.warm, b.time}), failedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		for turn := range all {
			if err := b.storedRound(ctx, all[(round+turn)%len(all)], p); err != nil {
				return f, fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	for i, full := range all {
		if millions[i] == 0 {
			continue
		}
		if full.crashed, err = b.crash(ctx, full.dir, p); err != nil {
			return f, err
		}
	}
	storedFinding(&f, all)
	return f, nil
}

// startStored is with room for everything, so that nothing is purged.
func (b *bench) startStored(ctx context.Context, dir string) (*child, error) {
	return b.startBridge(ctx, bridgeConfig{dir: dir, nats: `{listen: "127.0.0.1:0", events: {max_bytes: 64GiB}}`})
}

// prepareStored has a bridge make its streams, writes n million events into the one
// of events, and has the server make its index of them.
func (b *bench) prepareStored(ctx context.Context, full *fullness, n int) error {
	c, err := b.startStored(ctx, full.dir)
	if err != nil {
		return err
	}
	if err := c.stop(); err != nil || n == 0 {
		return err
	}
	m, err := failedMessage()
	if err != nil {
		return err
	}
	now := time.Now()
	if err := replaceBlocks(c.data, eventsStream(), m, n*million, now.Add(-storedFirst), now.Add(-storedLast)); err != nil {
		return err
	}
	if c, err = b.startStored(ctx, full.dir); err != nil {
		return err
	}
	full.rebuilt = c.started.Seconds()
	return c.stop()
}

// failedMessage is what the ingress publishes of a failed prediction.
func failedMessage() (m *nats.Msg, err error) {
	p, err := newPool(1, failedWebhook())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	msgs, err := messages(p)
	if err != nil {
		return nil, err
	}
	msgs[0].Data = append([]byte(nil), msgs[0].Data...) // the pool is given back
	return msgs[0], nil
}

func (b *bench) storedRound(ctx context.Context, full *fullness, p *pool) (err error) {
	c, err := b.startStored(ctx, full.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	memory, err := c.settled(ctx)
	if err != nil {
		return err
	}
	p.renew(p.count)
	s, err := c.load(ctx, storedConnections, p, window{warm: b.warm, measured: b.time})
	full.rates, full.memory, full.restarts = append(full.rates, s.rate), append(full.memory, float64(memory)), append(full.restarts, c.started.Seconds())
	return err
}

// crash kills a bridge that was in use, and returns how long the next start takes,
// in seconds.
func (b *bench) crash(ctx context.Context, dir string, p *pool) (float64, error) {
	c, err := b.startStored(ctx, dir)
	if err != nil {
		return 0, err
	}
	p.renew(p.count)
	_, err = c.load(ctx, storedConnections, p, window{warm: b.warm, measured: b.time})
	if err := errors.Join(err, c.kill()); err != nil {
		return 0, err
	}
	if c, err = b.startStored(ctx, dir); err != nil {
		return 0, err
	}
	return c.started.Seconds(), c.stop()
}

func storedFinding(f *finding, all []*fullness) {
	f.text = fmt.Sprintf("`hookspan serve` on folders whose stream of events holds so many events of a failed prediction, all older than the duplicate window; %d connections. "+
		"The bridge is started anew for each round; a start is from the start of the process to its ready line, with the files in the page cache. "+
		"Once the server's index of the stream was missing and all had to be read, and once the bridge was ended with SIGKILL after a load; memory is looked at before the load.", storedConnections)
	f.head = []string{"stored", "events/s", "to the empty one", "memory", "more for each million", "start, s", "start without index, s", "start after SIGKILL, s"}
	for i, full := range all {
		if millions[i] == 0 {
			f.row("none", integer(spreadOf(full.rates)), "", mibs(spreadOf(full.memory)), "", decimal(spreadOf(full.restarts)), "", "")
			continue
		}
		n := float64(millions[i])
		share := paired(full.rates, all[0].rates, ratio)
		growth := paired(full.memory, all[0].memory, func(a, b float64) float64 { return (a - b) / n })
		start := spreadOf(full.restarts)
		name := fmt.Sprintf("%d million", millions[i])
		f.row(name, integer(spreadOf(full.rates)), percent(share), mibs(spreadOf(full.memory)), mibs(growth), decimal(start), fmt.Sprintf("%.2f", full.rebuilt), fmt.Sprintf("%.2f", full.crashed))
		f.atLeast(share, 0.9, 0, name+" events stored: at least 90 % of the throughput of an empty stream", percent(share))
		f.under(start, restartBar*n, fmt.Sprintf("%s events stored: a restart takes less than %.0f s for each million", name, restartBar), decimal(start)+" s")
		f.under(spread{median: full.crashed}, restartBar*n, fmt.Sprintf("%s events stored: the same after SIGKILL", name), fmt.Sprintf("%.2f s", full.crashed))
	}
}
