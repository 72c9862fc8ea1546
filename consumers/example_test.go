package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// A service of its own that charges for completed predictions of one owner's
// models. It has no output, so it is compiled and not run.
func Example() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserInfo(os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD")), nats.MaxReconnects(-1))
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	handler := consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		p, err := ev.Prediction()
		if err != nil {
			return consumers.Permanent(err)
		}
		consumers.Note(ctx, fmt.Sprintf("%d outputs", len(p.Outputs)))
		return charge(ctx, ev.ID, p)
	})
	c, err := consumers.New(js, handler, consumers.Config{
		Name:        "billing",
		Filter:      bridge.Filter{Statuses: []string{bridge.StatusCompleted}, Model: "google/*"},
		Concurrency: 4,
		Timeout:     time.Minute,
	})
	if err != nil {
		panic(err)
	}
	if err := c.Run(context.Background()); err != nil {
		panic(err)
	}
}

func charge(context.Context, string, *bridge.Prediction) error { return nil }

// A consumer's metrics go into the registry that the program serves, and its lines into the
// program's log.
func ExampleConsumer_Collectors() {
	nc, err := nats.Connect("127.0.0.1:1", nats.RetryOnFailedConnect(true)) // there need be no server yet
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	handler := consumers.HandlerFunc(func(context.Context, *bridge.Event) error { return nil })
	c, err := consumers.New(js, handler, consumers.Config{Name: "billing", Logger: slog.Default()})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		fmt.Println(f.GetName())
	}
	// Output:
	// hookspan_consumer_attempts_total
	// hookspan_consumer_attempts_untold_total
	// hookspan_consumer_dead_letters_total
	// hookspan_consumer_handler_seconds
	// hookspan_consumer_in_flight_events
	// hookspan_consumer_waiting_events
}

func ExamplePermanent() {
	err := consumers.Permanent(errors.New("no such customer"))
	fmt.Println(err, consumers.IsPermanent(err))
	// Output: no such customer true
}

func ExampleHandlerFunc() {
	handler := consumers.HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		fmt.Println(ev.PredictionID, "is", ev.Status)
		return nil
	})
	// A handler needs no NATS to be tried.
	err := handler.Handle(context.Background(), &bridge.Event{PredictionID: "pred_1", Status: bridge.StatusCompleted})
	fmt.Println(err)
	// Output:
	// pred_1 is completed
	// <nil>
}

// A handler is tried without a server here, as consumertest.Handle does, to see what
// becomes of the event.
func try(handler consumers.HandlerFunc, cfg consumers.Config) {
	ev := &bridge.Event{ID: "pred_1/completed/0f", Source: "get3w", PredictionID: "pred_1", Status: bridge.StatusCompleted}
	cfg.Name = "billing"
	tried := consumers.Try(context.Background(), handler, ev, cfg, consumers.Attempt{})
	fmt.Println(strings.TrimSpace(fmt.Sprintf("%v %v %v", tried.Action, tried.Delay, tried.Cause)))
}

// The target says when it wants to be asked again. It is a failed attempt like any
// other, so an event that is put off for ever is given up after Retry.GiveUpAfter.
func ExampleRetryAfter() {
	try(func(context.Context, *bridge.Event) error {
		return consumers.RetryAfter(errors.New("too many requests"), 90*time.Second)
	}, consumers.Config{})
	// Output: retry 1m30s
}

// The target refuses the event itself: its dead letter says that the fault is not ours.
func ExampleRefused() {
	try(func(context.Context, *bridge.Event) error {
		return consumers.Refused(errors.New("422: amount is missing"))
	}, consumers.Config{})
	// Output: dead 0s refused
}

// Nobody has tried: what the handler needs is away. No attempt is counted, so that
// alone never makes a dead letter.
func ExampleSnooze() {
	try(func(context.Context, *bridge.Event) error {
		return consumers.Snooze(errors.New("the database is being migrated"), 20*time.Second)
	}, consumers.Config{})
	// Output: snoozed 20s
}

// What must happen once is asked for with a key that the target knows it by. Once
// alone cannot do it: a process that is killed after the charge and before it is
// remembered makes another attempt, with the same key.
func ExampleAttempt_IdempotencyKey() {
	try(func(ctx context.Context, ev *bridge.Event) error {
		fmt.Println("POST /charges, Idempotency-Key:", consumers.AttemptOf(ctx).IdempotencyKey(ev))
		return nil
	}, consumers.Config{Once: true})
	// Output:
	// POST /charges, Idempotency-Key: billing:get3w:pred_1/completed/0f
	// done 0s
}

// Middleware is around every attempt, the first one outermost.
func ExampleMiddleware() {
	timed := func(next consumers.Handler) consumers.Handler {
		return consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
			err := next.Handle(ctx, ev)
			fmt.Printf("attempt %d on %s: %v\n", consumers.AttemptOf(ctx).Number, ev.PredictionID, err)
			return err
		})
	}
	try(func(context.Context, *bridge.Event) error {
		return consumers.Permanent(errors.New("no such customer"))
	}, consumers.Config{Middleware: []consumers.Middleware{timed}})
	// Output:
	// attempt 1 on pred_1: no such customer
	// dead 0s permanent
}

// printer works while it has paper. Meanwhile events wait in their stream, for any
// time, and whoever else runs the consumer handles them.
type printer struct{ paper chan struct{} }

func (p *printer) Wait(ctx context.Context) {
	select {
	case <-p.paper:
	case <-ctx.Done():
	}
}

func (p *printer) Handle(_ context.Context, ev *bridge.Event) error {
	fmt.Println("printing", ev.PredictionID)
	return nil
}

func ExampleGate() {
	p := &printer{paper: make(chan struct{}, 1)}
	var gate consumers.Gate = p // consumers.New finds it by itself
	p.paper <- struct{}{}
	gate.Wait(context.Background())
	try(p.Handle, consumers.Config{})
	// Output:
	// printing pred_1
	// done 0s
}

// What becomes of a later attempt: an event that has failed for three days is given up.
func ExampleTry() {
	failing := consumers.HandlerFunc(func(context.Context, *bridge.Event) error { return errors.New("no answer") })
	first := time.Now().Add(-73 * time.Hour)
	tried := consumers.Try(context.Background(), failing, &bridge.Event{}, consumers.Config{}, consumers.Attempt{Number: 20, First: first})
	fmt.Println(tried.Action, tried.Cause)
	// Output: dead exhausted
}
