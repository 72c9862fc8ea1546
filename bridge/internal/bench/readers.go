package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
)

// reader is one of the ways to read stored events that are compared. They do
// nothing with an event but acknowledge it.
type reader int

const (
	byConsumer   reader = iota // package consumers
	byOnce                     // the same, acting once
	byPull                     // a plain client, one request for each event
	byOneSubject               // the same with the subject of the filter alone
	byNoSubject                // the same without a filter
	byBuffer                   // a plain client that keeps a buffer full for all goroutines
	readers
)

func (r reader) String() string {
	return [...]string{"consumer", "consumer, once", "pull", "pull, one filter subject", "pull, no filter", "pull, buffered"}[r]
}

// reading is what a process of mode read is told.
type reading struct {
	Dir string
	// Durable is a name that none had before: what acts once remembers what it did.
	Durable string
	Reader  reader
	Workers int
	Events  int
}

// runRead reads stored events of the rig in a folder, measures that, and is ready
// when it is done, so that its memory can be looked at.
func runRead(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var what reading
	if err := json.Unmarshal([]byte(args[0]), &what); err != nil {
		return fmt.Errorf("reading what to read: %w", err)
	}
	r, err := openRig(context.WithoutCancel(ctx), what.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	before, err := lookAtProcessors()
	if err != nil {
		return err
	}
	rate, err := r.read(ctx, what)
	if err != nil {
		return err
	}
	after, err := lookAtProcessors()
	if err != nil {
		return err
	}
	cost := (after.ours - before.ours).Seconds() * 1e6 / float64(what.Events)
	if err := (modeReady{Rate: rate, Cost: cost}).print(stdout); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// read returns the events per second. The first fifth warms up.
func (r *rig) read(ctx context.Context, what reading) (rate float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTally(what.Events/5, what.Events)
	done := make(chan error, 1)
	go func() {
		switch what.Reader {
		case byConsumer, byOnce:
			done <- r.consume(ctx, what, t)
		default:
			done <- r.pull(ctx, what, t)
		}
	}()
	select {
	case err := <-done:
		return 0, errors.Join(errors.New("reading ended early"), err)
	case <-t.done:
	}
	cancel()
	if err := <-done; err != nil {
		return 0, err
	}
	if err := r.bare.DeleteConsumer(context.WithoutCancel(ctx), r.names.EventsStream(), what.Durable); err != nil {
		return 0, fmt.Errorf("removing a durable: %w", err)
	}
	return t.rate(), nil
}

// completed is the filter of everything that reads.
func completed() bridge.Filter { return bridge.Filter{Statuses: []string{bridge.StatusCompleted}} }

func (r *rig) consume(ctx context.Context, what reading, t *tally) error {
	handler := consumers.HandlerFunc(func(context.Context, *bridge.Event) error {
		t.add()
		return nil
	})
	c, err := consumers.New(r.bare, handler, consumers.Config{
		Name: what.Durable, Filter: completed(), Start: consumers.Start{All: true}, Concurrency: what.Workers, Once: what.Reader == byOnce, Logger: telemetry.Slog(r.log),
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// maxAckPending is that of consumers.
const maxAckPending = 10_000

func (r *rig) pull(ctx context.Context, what reading, t *tally) error {
	subjects, _ := completed().Subjects(r.names)
	switch what.Reader {
	case byOneSubject:
	case byNoSubject:
		subjects = nil
	default:
		subjects = append(subjects, r.names.AllAgain(what.Durable))
	}
	durable, err := r.bare.CreateConsumer(ctx, r.names.EventsStream(), jetstream.ConsumerConfig{
		Durable: what.Durable, FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: maxAckPending,
	})
	if err != nil {
		return fmt.Errorf("making a durable: %w", err)
	}
	if what.Reader == byBuffer {
		all, err := durable.Messages()
		if err != nil {
			return fmt.Errorf("pulling: %w", err)
		}
		return pullAll(ctx, what.Workers, t, func() (jetstream.MessagesContext, error) { return all, nil })
	}
	return pullAll(ctx, what.Workers, t, func() (jetstream.MessagesContext, error) {
		return durable.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(pullHeartbeat))
	})
}

// pullHeartbeat is the shortest that there is.
const pullHeartbeat = 500 * time.Millisecond

// pullAll has each worker acknowledge its messages until ctx ends.
func pullAll(ctx context.Context, workers int, t *tally, open func() (jetstream.MessagesContext, error)) error {
	var group errgroup.Group
	for range workers {
		messages, err := open()
		if err != nil {
			return fmt.Errorf("pulling: %w", err)
		}
		group.Go(func() error {
			defer messages.Stop()
			for {
				m, err := messages.Next(jetstream.NextContext(ctx))
				switch {
				case ctx.Err() != nil:
					return nil
				case errors.Is(err, jetstream.ErrNoHeartbeat):
					// Asked for the next one too early, the client (nats.go 1.55.0)
					// at times sends no request, and notices only by this.
					continue
				case err != nil:
					return fmt.Errorf("pulling: %w", err)
				}
				t.add()
				if err := m.Ack(); err != nil {
					return fmt.Errorf("acknowledging: %w", err)
				}
			}
		})
	}
	return group.Wait()
}
