package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
