package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

const (
	foldedPredictions = 50_000
	foldedEvents      = 2 * foldedPredictions
	foldedTick        = 5 * time.Millisecond
	// foldedBlock is how many events the ledger acknowledges at once.
	foldedBlock = 1000
	ledgerKeep  = 72 * time.Hour
)

// folding is what a process of mode fold is told.
type folding struct {
	Dir string
	// Ledger folds the events; without it they are only pulled.
	Ledger bool
}

// measureFolded compares a ledger that folds stored events with a client that only
// pulls them.
func (b *bench) measureFolded(ctx context.Context, parent string, f *finding) (err error) {
	dir := filepath.Join(parent, "folded")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := storeFolded(ctx, dir+"/data"); err != nil {
		return err
	}
	var ledger, pull nooped
	rounds := min(b.rounds, ledgerRounds)
	for round := range rounds {
		b.progress("events into the ledger, round %d of %d", round+1, rounds)
		for turn := range 2 {
			folds, to := false, &pull
			if (round+turn)%2 == 0 {
				folds, to = true, &ledger
			}
			if err := foldOnce(ctx, dir, folding{Dir: dir + "/data", Ledger: folds}, to); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	rate := spreadOf(ledger.rates)
	f.text += fmt.Sprintf("**Into the ledger.** %d events, stored before, are folded by a process of its own with the embedded NATS: of each of %d predictions that it is watched and that it is completed, %d of them at the same time. "+
		"The ledger is made anew in each of %d rounds; the first fifth is not measured. A plain pull reads the same events by the same durable and acknowledges every %dth, as the ledger does, and does nothing else.\n\n",
		foldedEvents, foldedPredictions, foldedAtATime, rounds, foldedBlock)
	f.row("events into the ledger", integer(rate)+" /s")
	f.row("processor time of each, with its NATS", integer(spreadOf(ledger.costs))+" µs")
	f.row("the same events, a plain pull", integer(spreadOf(pull.rates))+" /s")
	f.row("the ledger to a plain pull", percent(paired(ledger.rates, pull.rates, ratio)))
	f.atLeast(rate, foldedBar, 0, "the ledger of predictions folds at least 10,000 events a second", integer(rate)+" /s")
	return nil
}

func foldOnce(ctx context.Context, dir string, what folding, to *nooped) error {
	arg, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("saying what to fold: %w", err)
	}
	p, ready, err := startMode(ctx, "the ledger", dir, modeFold, string(arg), false)
	if err != nil {
		return err
	}
	to.rates, to.costs = append(to.rates, ready.Rate), append(to.costs, ready.Cost)
	return p.stop()
}

// storeFolded stores the events: that each prediction is watched, and a while later
// that it is completed.
func storeFolded(ctx context.Context, dir string) (err error) {
	r, err := openRig(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p, err := newPool(mostBatch, completedWebhook())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var running [][]*nats.Msg
	for range foldedPredictions / mostBatch {
		p.renew(mostBatch)
		if err := r.storeWatches(ctx, p); err != nil {
			return err
		}
		completed, err := r.completions(p)
		if err != nil {
			return err
		}
		if running = append(running, completed); len(running)*mostBatch > foldedAtATime {
			if err := r.storeBlock(ctx, r.names.EventsStream(), running[0]); err != nil {
				return err
			}
			running = running[1:]
		}
	}
	for _, completed := range running {
		if err := r.storeBlock(ctx, r.names.EventsStream(), completed); err != nil {
			return err
		}
	}
	return nil
}

// completions are what the ingress publishes of the requests.
func (r *rig) completions(p *pool) ([]*nats.Msg, error) {
	all := make([]*nats.Msg, p.count)
	for i := range all {
		e, err := r.source.Accept(delivery(p, i))
		if err != nil {
			return nil, fmt.Errorf("reading a webhook of the pool: %w", err)
		}
		e.Model += "-" + strconv.Itoa(i%filledModels)
		e.Body = bytes.Clone(e.Body) // the pool is used again
		all[i] = message(r.names, e)
	}
	return all, nil
}

// storeWatches stores that each prediction of the pool is watched, for longer than
// anything here lasts.
func (r *rig) storeWatches(ctx context.Context, p *pool) error {
	all := make([]*nats.Msg, p.count)
	now := time.Now()
	for i := range all {
		e, err := watchOf(p.id(i), i).Event(now)
		if err != nil {
			return err
		}
		all[i] = message(r.names, e)
		all[i].Subject = r.names.SubjectOf(e)
	}
	return r.storeBlock(ctx, r.names.EventsStream(), all)
}

func watchOf(id string, i int) *bridge.Watch {
	return &bridge.Watch{
		Source: sourceName, Prediction: id, Model: "get3w/flux-dev-" + strconv.Itoa(i%filledModels),
		Deadline: time.Now().Add(24 * time.Hour), Reference: "order-" + id,
	}
}

func (r *rig) storeBlock(ctx context.Context, stream string, msgs []*nats.Msg) error {
	for _, o := range r.publisher.StoreAll(ctx, stream, msgs) {
		if o.Err != nil {
			return fmt.Errorf("filling %s: %w", stream, o.Err)
		}
	}
	return nil
}

// runFold brings the stored events of a rig into a new ledger, or only pulls them, and
// is ready when that is done.
func runFold(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var what folding
	if err := json.Unmarshal([]byte(args[0]), &what); err != nil {
		return fmt.Errorf("reading what to fold: %w", err)
	}
	r, err := openRig(context.WithoutCancel(ctx), what.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.forgetLedger(ctx); err != nil {
		return err
	}
	measure := r.pullForLedger
	if what.Ledger {
		measure = r.foldAll
	}
	before, err := lookAtProcessors()
	if err != nil {
		return err
	}
	rate, err := measure(ctx)
	if err != nil {
		return err
	}
	after, err := lookAtProcessors()
	if err != nil {
		return err
	}
	if what.Ledger {
		if err := r.checkFolded(ctx); err != nil {
			return err
		}
	}
	cost := (after.ours - before.ours).Seconds() * 1e6 / foldedEvents
	if err := (modeReady{Rate: rate, Cost: cost}).print(stdout); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// forgetLedger removes what a round before this one has made.
func (r *rig) forgetLedger(ctx context.Context) error {
	bucket, err := r.bare.Stream(ctx, r.names.PredictionsStream())
	if err == nil {
		err = bucket.Purge(ctx)
	}
	if err != nil {
		return fmt.Errorf("emptying the ledger: %w", err)
	}
	err = r.bare.DeleteConsumer(ctx, r.names.EventsStream(), bridge.PredictionsConsumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("removing the durable of the ledger: %w", err)
	}
	return nil
}

// foldAll returns how many events a second the ledger acknowledges once they are in it.
func (r *rig) foldAll(ctx context.Context) (rate float64, err error) {
	ledger := predictions.NewLeader(r.bare, r.publisher, predictions.Config{
		Names: r.names, Sources: map[string]poller.SourceConfig{sourceName: {Source: r.source}},
		Keep: ledgerKeep, Process: "bench", Alarms: instant{}, Logger: r.log,
	})
	r.run(context.WithoutCancel(ctx), ledger.Run)
	var first uint64
	var begin time.Time
	for late := time.Now().Add(startTimeout); ; {
		folded := uint64(0)
		durable, err := r.js.Consumer(ctx, r.names.EventsStream(), bridge.PredictionsConsumer)
		switch {
		case err == nil:
			folded = durable.CachedInfo().AckFloor.Stream
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return 0, fmt.Errorf("looking at the ledger: %w", err)
		}
		now := time.Now()
		switch {
		case begin.IsZero() && folded >= foldedEvents/5:
			first, begin = folded, now
		case folded >= foldedEvents:
			return float64(folded-first) / now.Sub(begin).Seconds(), nil
		case now.After(late):
			return 0, fmt.Errorf("only %d of %d events are in the ledger after %v", folded, foldedEvents, startTimeout)
		}
		if err := pause(ctx, foldedTick); err != nil {
			return 0, err
		}
	}
}

func (r *rig) checkFolded(ctx context.Context) error {
	finished := 0
	err := predictions.NewReader(r.bare, r.names).Walk(ctx, predictions.Selection{}, func(_ uint64, s *bridge.PredictionState) error {
		if s.Terminal() && s.Announced != nil {
			finished++
		}
		return nil
	})
	if err == nil && finished != foldedPredictions {
		err = fmt.Errorf("the ledger has %d finished predictions, not %d", finished, foldedPredictions)
	}
	return err
}

// pullForLedger reads all events by the durable of the ledger.
func (r *rig) pullForLedger(ctx context.Context) (rate float64, err error) {
	if err := predictions.Provision(ctx, r.bare, r.names); err != nil {
		return 0, err
	}
	durable, err := r.bare.Consumer(ctx, r.names.EventsStream(), bridge.PredictionsConsumer)
	if err != nil {
		return 0, fmt.Errorf("reaching the durable of the ledger: %w", err)
	}
	messages, err := durable.Messages(jetstream.PullMaxMessages(foldedBlock))
	if err != nil {
		return 0, fmt.Errorf("pulling: %w", err)
	}
	defer messages.Stop()
	t := newTally(foldedEvents/5, foldedEvents)
	for n := 1; n <= foldedEvents; n++ {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, fmt.Errorf("pulling: %w", err)
		}
		t.add()
		if n%foldedBlock == 0 {
			if err := m.Ack(); err != nil {
				return 0, fmt.Errorf("acknowledging: %w", err)
			}
		}
	}
	return t.rate(), nil
}
