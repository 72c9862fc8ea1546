package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
)

// followWorkers is how many events a process of mode follow handles at once.
const followWorkers = 8

// followed is the durable of that process.
const followed = "bench"

// following is what a process of mode follow is told.
type following struct {
	Dir string
	// Phases are how many events it handles until it tells of them, one after the
	// other.
	Phases []int
}

// start is when the handler was called for an event.
type start struct {
	Prediction string
	At         int64 // Unix time in ns
}

// runFollow serves the ingress of a rig and handles its events, until it is told to
// end. Its lines are the starts of each phase.
func runFollow(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var what following
	if err := json.Unmarshal([]byte(args[0]), &what); err != nil {
		return fmt.Errorf("reading what to follow: %w", err)
	}
	r, err := openRig(context.WithoutCancel(ctx), what.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	mover := redelivery.NewMover(r.bare, r.publisher, redelivery.MoverConfig{Logger: r.log})
	r.run(context.WithoutCancel(ctx), mover.Run)
	starts := make(chan start, 1024)
	handler := consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		select {
		case starts <- start{ev.PredictionID, time.Now().UnixNano()}:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	c, err := consumers.New(r.bare, handler, consumers.Config{Name: followed, Filter: failed(), Concurrency: followWorkers, Logger: telemetry.Slog(r.log)})
	if err != nil {
		return err
	}
	r.run(context.WithoutCancel(ctx), c.Run)
	if _, err := r.untilDurable(ctx); err != nil {
		return err
	}
	if err := (modeReady{Whole: r.durable}).print(stdout); err != nil {
		return err
	}
	for _, count := range what.Phases {
		all := make([]start, 0, count)
		for len(all) < count {
			select {
			case s := <-starts:
				all = append(all, s)
			case <-ctx.Done():
				return nil
			}
		}
		if err := json.NewEncoder(stdout).Encode(all); err != nil {
			return fmt.Errorf("telling of a phase: %w", err)
		}
	}
	<-ctx.Done()
	return nil
}

// failed is the filter of what follows the ingress.
func failed() bridge.Filter { return bridge.Filter{Statuses: []string{bridge.StatusFailed}} }

// untilDurable returns what the durable is once it is there: it begins with what
// comes then.
func (r *rig) untilDurable(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	for {
		durable, err := r.bare.Consumer(ctx, r.names.EventsStream(), followed)
		if err == nil {
			return durable.CachedInfo(), nil
		}
		if pause(ctx, followTick) != nil {
			return nil, fmt.Errorf("waiting for the durable: %w", err)
		}
	}
}

const followTick = 10 * time.Millisecond

// follower is such a process, seen from outside.
type follower struct {
	*process
	addr string
}

// startFollower runs one on the data of dir.
func startFollower(ctx context.Context, dir string, phases ...int) (*follower, error) {
	arg, err := json.Marshal(following{Dir: dir + "/data", Phases: phases})
	if err != nil {
		return nil, fmt.Errorf("saying what to follow: %w", err)
	}
	p, ready, err := startMode(ctx, "the bridge with a consumer", dir, modeFollow, string(arg), false)
	if err != nil {
		return nil, err
	}
	return &follower{process: p, addr: ready.Whole}, nil
}

// phase waits until the phase is over, and returns when the handler was called for
// each prediction.
func (f *follower) phase(ctx context.Context) (map[string]time.Time, error) {
	line, err := f.nextLine(ctx)
	if err != nil {
		return nil, f.explain(fmt.Errorf("waiting until the events are handled: %w", err))
	}
	var all []start
	if err := json.Unmarshal(line, &all); err != nil {
		return nil, fmt.Errorf("reading what was handled: %w", err)
	}
	at := make(map[string]time.Time, len(all))
	for _, s := range all {
		at[s.Prediction] = time.Unix(0, s.At)
	}
	return at, nil
}
