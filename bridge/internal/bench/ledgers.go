package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/fold"
)

const (
	openPredictions = 100_000
	entriesAtOnce   = 5000
	idleTime        = 10 * time.Second
	// bytesPerKey is what nats-server 2.15 keeps of a key with an end, ledgerCache how many entries
	// the leader has in memory.
	bytesPerKey = 135
	ledgerCache = 4096
	logTick     = 5 * time.Millisecond
)

// What a bridge logs of its ledger.
const (
	saysLeads = "this process leads the predictions"
	saysWhole = "the prediction store is whole"
)

// kept is a bridge with a ledger, and what it gave in each round.
type kept struct {
	dir  string
	open int // predictions
	// terms are in s, idle is processor time in ms for each second, the rest bytes.
	terms, idle, memory, peaks []float64
}

// measureLedgers compares bridges whose ledgers are empty, full of finished predictions,
// and full of open ones that are not due.
func (b *bench) measureLedgers(ctx context.Context, parent string, f *finding) (err error) {
	var asked atomic.Int64
	addr, hangUp, err := listenLocally(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "nobody is overdue", http.StatusTeapot)
	}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	provider := "http://" + addr + "/api/v3"
	none, finished, open := &kept{}, &kept{}, &kept{open: openPredictions}
	all := []*kept{none, finished, open}
	for i, k := range all {
		k.dir = filepath.Join(parent, "ledger-"+strconv.Itoa(i))
		defer func() { err = errors.Join(err, os.RemoveAll(k.dir)) }()
	}
	b.progress("filling ledgers")
	if err := fillOpen(ctx, open.dir+"/data"); err != nil {
		return err
	}
	for _, k := range all {
		if err := b.makeLedger(ctx, k, provider); err != nil {
			return err
		}
	}
	entry, err := fillFinished(ctx, finished.dir+"/data")
	if err != nil {
		return err
	}
	rounds := min(b.rounds, ledgerRounds)
	for round := range rounds {
		b.progress("idle with ledgers, round %d of %d", round+1, rounds)
		if err := b.idleRound(ctx, round, all, provider); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	if n := asked.Load(); n > 0 {
		return fmt.Errorf("the provider was asked %d times while nothing was overdue", n)
	}
	ledgersFinding(f, none, finished, open, entry)
	return nil
}

func ledgersFinding(f *finding, none, finished, open *kept, entry int) {
	f.text += fmt.Sprintf("**What is kept.** Three times `hookspan serve` with default settings and the API of a provider: with an empty ledger, with %d finished predictions of %d bytes each that go after %v, and with %d that are watched and due tomorrow. "+
		"They are started anew for each of %d rounds; a term is from when a process has the lead until it has read what is open. Then they are left alone together: memory is resident (VmRSS, the least of %.0f s, and VmHWM for the most), "+
		"growth is against the empty one of the round, and processor time is that of the %v behind. With open predictions come as many stored events, which a bridge checks in the background. About %d bytes of the growth for each finished prediction are what the NATS server keeps of a key, its index and when it goes; the rest is what its start left to the garbage collector. The ledger itself has none of them in memory but the last %d that it touched. "+
		"The provider was never asked.\n\n",
		million, entry, ledgerKeep, openPredictions, len(none.terms), settleTime.Seconds(), idleTime, bytesPerKey, ledgerCache)
	grown := func(a, b float64) float64 { return a - b }
	growth := paired(finished.memory, none.memory, grown)
	term := spreadOf(open.terms)
	f.row("memory with an empty ledger", mibs(spreadOf(none.memory)))
	f.row("memory more with 1 million finished predictions", mibs(growth))
	f.row("the most memory ever, more with them", mibs(paired(finished.peaks, none.peaks, grown)))
	f.row("start of a term with them", decimal(spreadOf(finished.terms))+" s")
	f.row("start of a term with 100,000 open predictions", decimal(term)+" s")
	f.row("memory more with these", mibs(paired(open.memory, none.memory, grown)))
	f.row("processor time of a second, left alone, empty ledger", decimal(spreadOf(none.idle))+" ms")
	f.row("the same with 1 million finished predictions", decimal(spreadOf(finished.idle))+" ms")
	f.row("the same with 100,000 open predictions", decimal(spreadOf(open.idle))+" ms")
	f.under(growth, finishedBar, "1 million finished predictions in the ledger grow the memory by less than 256 MiB", mibs(growth))
	f.under(term, openBar, "100,000 open predictions are read by a new leader in less than 1 s", decimal(term)+" s")
}

// startLedger starts a bridge, and returns when it leads the ledger and how long that
// took it.
func (b *bench) startLedger(ctx context.Context, k *kept, provider, says string) (c *child, took time.Duration, err error) {
	if err := os.RemoveAll(filepath.Join(k.dir, "log")); err != nil {
		return nil, 0, fmt.Errorf("removing a log: %w", err)
	}
	if c, err = b.startBridge(ctx, bridgeConfig{dir: k.dir, nats: roomy, api: provider}); err != nil {
		return nil, 0, err
	}
	line, err := c.logged(ctx, says)
	if err == nil {
		took, err = time.ParseDuration(line.Took)
	}
	if err == nil && says == saysLeads && line.Open != k.open {
		err = fmt.Errorf("it has %d open predictions, not %d", line.Open, k.open)
	}
	if err != nil {
		return nil, 0, errors.Join(c.explain(fmt.Errorf("looking at the ledger of a bridge: %w", err)), c.stop())
	}
	return c, took, nil
}

// makeLedger has a bridge make its ledger of what is stored.
func (b *bench) makeLedger(ctx context.Context, k *kept, provider string) error {
	c, _, err := b.startLedger(ctx, k, provider, saysWhole)
	if err != nil {
		return err
	}
	return c.stop()
}

// idleRound starts the bridges, another one first each time, and leaves them alone.
func (b *bench) idleRound(ctx context.Context, round int, all []*kept, provider string) (err error) {
	running := make([]*child, len(all))
	for turn := range all {
		i := (round + turn) % len(all)
		c, took, startErr := b.startLedger(ctx, all[i], provider, saysLeads)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		running[i] = c
		all[i].terms = append(all[i].terms, took.Seconds())
	}
	var group errgroup.Group
	for i, c := range running {
		group.Go(func() error { return all[i].leaveAlone(ctx, c) })
	}
	return group.Wait()
}

// leaveAlone looks at a bridge that has nothing to do.
func (k *kept) leaveAlone(ctx context.Context, c *child) error {
	memory, err := c.settled(ctx)
	if err != nil {
		return err
	}
	before, err := c.processor()
	if err != nil {
		return err
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	after, err := c.processor()
	if err != nil {
		return err
	}
	peak, err := c.size("VmHWM")
	k.memory, k.peaks = append(k.memory, float64(memory)), append(k.peaks, float64(peak))
	k.idle = append(k.idle, inMs(after-before)/idleTime.Seconds())
	return err
}

// logLine is what is read of a line of a bridge's log.
type logLine struct {
	Message string `json:"msg"`
	Took    string `json:"took"`
	Open    int    `json:"open"`
}

// logged waits until the process has logged a message.
func (p *process) logged(ctx context.Context, message string) (line logLine, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		text, err := os.ReadFile(p.log.Name())
		if err != nil {
			return line, fmt.Errorf("reading its log: %w", err)
		}
		for one := range bytes.Lines(text) {
			if json.Unmarshal(one, &line) == nil && line.Message == message {
				return line, nil
			}
		}
		if pause(ctx, logTick) != nil {
			return line, fmt.Errorf("its log does not say %q", message)
		}
	}
}

// fillOpen stores that predictions are watched.
func fillOpen(ctx context.Context, dir string) (err error) {
	return fillRig(ctx, dir, mostBatch, openPredictions, func(r *rig, p *pool) error { return r.storeWatches(ctx, p) })
}

// fillFinished writes a million finished predictions into the ledger, and returns how
// many bytes one has.
func fillFinished(ctx context.Context, dir string) (size int, err error) {
	entry, err := finishedEntry()
	if err != nil {
		return 0, err
	}
	header := nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {"0"},
		jetstream.MsgTTLHeader:              {strconv.Itoa(int(ledgerKeep.Seconds())) + "s"},
	}
	return len(entry), fillRig(ctx, dir, entriesAtOnce, million, func(r *rig, p *pool) error {
		msgs := make([]*nats.Msg, p.count)
		for i := range msgs {
			id := p.id(i)
			msgs[i] = &nats.Msg{
				Subject: r.names.PredictionsSubject(bridge.PredictionKey(bridge.KeyEntry, sourceName, id)),
				Header:  header, Data: bytes.ReplaceAll(entry, []byte(anyID), []byte(id)),
			}
		}
		return r.storeBlock(ctx, r.names.PredictionsStream(), msgs)
	})
}

// fillRig calls store with new ids, some at once, until there were so many.
func fillRig(ctx context.Context, dir string, atOnce, count int, store func(r *rig, p *pool) error) (err error) {
	r, err := openRig(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p, err := newPool(atOnce, failedWebhook())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for range count / atOnce {
		p.renew(atOnce)
		if err := store(r, p); err != nil {
			return err
		}
	}
	return nil
}

// finishedEntry is what the ledger keeps of a prediction that was watched and is
// completed, with one output.
func finishedEntry() ([]byte, error) {
	now := time.Now()
	watch, err := watchOf(anyID, 0).Event(now)
	if err != nil {
		return nil, err
	}
	src, err := newSource()
	if err != nil {
		return nil, err
	}
	w := completedWebhook()
	w.Outputs = w.Outputs[:1]
	p, err := newPool(1, w)
	if err != nil {
		return nil, err
	}
	completed, err := src.Accept(delivery(p, 0))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading a webhook of the pool: %w", err), p.close())
	}
	var s bridge.PredictionState
	for i, e := range []*bridge.Event{watch, completed} {
		fold.Fold(&s, e, fold.At{Sequence: million + uint64(i), StoredAt: now})
	}
	raw, err := json.Marshal(s)
	return raw, errors.Join(err, p.close())
}
