// Reads a consumer of kind pull: eval "$(hookspan nats-env --consumer NAME)"; go run . NAME
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errNever is the error of an event that no attempt can help: it becomes a dead letter.
var errNever = errors.New("no attempt can help")

// handle is your work. An event may come twice, then with the same key. Another error than errNever brings it again in 5 s.
func handle(ctx context.Context, prediction []byte, key string) error {
	fmt.Println(key, len(prediction), "bytes")
	return ctx.Err()
}

func run(ctx context.Context, name string) error {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserInfo(os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD")), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	durable, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", name)
	if err != nil {
		return err
	}
	for {
		m, err := durable.Next(jetstream.FetchMaxWait(30 * time.Second))
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
			continue // there was none
		} else if err != nil {
			return err
		}
		lease, cancel := context.WithTimeout(ctx, 25*time.Second) // of 30 s unless configured; m.InProgress() renews it
		err = handle(lease, m.Data(), name+":"+m.Headers().Get("ce-source")+":"+m.Headers().Get("ce-id"))
		cancel()
		switch {
		case errors.Is(err, errNever):
			err = m.TermWithReason(err.Error())
		case err != nil:
			fmt.Fprintln(os.Stderr, m.Subject(), err)
			err = m.NakWithDelay(5 * time.Second)
		default:
			err = m.DoubleAck(ctx)
		}
		if err != nil { // the event comes again after its lease
			fmt.Fprintln(os.Stderr, m.Subject(), err)
		}
	}
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
