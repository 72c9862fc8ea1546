package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	fetchSize = 500
	fetchWait = 10 * time.Second
	// readerAge is how long the server keeps a reader that has gone.
	readerAge = time.Minute
	askAgain  = 500 * time.Millisecond
)

// errUnreadable: the server counts messages that it gives to nobody.
var errUnreadable = errors.New("messages are counted that do not come")

// readEvents calls add for every message in the stream, from the first one on. The
// error wraps errUnreadable when all were read that can be, and not all can.
func readEvents(ctx context.Context, nc *nats.Conn, add func(subject string, header nats.Header, body []byte)) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	reader, err := newReader(ctx, js)
	if err != nil {
		return fmt.Errorf("reading the events: %w", err)
	}
	for pending := reader.CachedInfo().NumPending; pending > 0; {
		batch, err := reader.Fetch(int(min(pending, fetchSize)), jetstream.FetchMaxWait(fetchWait))
		if err != nil {
			return fmt.Errorf("reading the events: %w", err)
		}
		got := false
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return fmt.Errorf("reading the events: %w", err)
			}
			got, pending = true, meta.NumPending
			add(msg.Subject(), msg.Headers(), msg.Data())
		}
		if err := batch.Error(); err != nil || ctx.Err() != nil {
			return fmt.Errorf("reading the events: %w", cmp.Or(err, ctx.Err()))
		}
		if !got {
			return fmt.Errorf("reading the events: %w: %d within %v", errUnreadable, pending, fetchWait)
		}
	}
	return nil
}

// newReader returns a consumer of the whole stream.
func newReader(ctx context.Context, js jetstream.JetStream) (reader jetstream.Consumer, err error) {
	err = insist(ctx, func(ctx context.Context) error {
		reader, err = js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
			DeliverPolicy:     jetstream.DeliverAllPolicy,
			AckPolicy:         jetstream.AckNonePolicy,
			MemoryStorage:     true,
			InactiveThreshold: readerAge,
		})
		return err
	})
	return reader, err
}

// streamState is what the server says of the stream of events.
func streamState(ctx context.Context, nc *nats.Conn) (info *jetstream.StreamInfo, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	err = insist(ctx, func(ctx context.Context) error {
		stream, err := js.Stream(ctx, eventsStream)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the state of the events: %w", err)
	}
	return info, nil
}

// insist asks again while there is no answer or a refusal for now: a cluster that
// has just come together again needs a while.
func insist(ctx context.Context, ask func(ctx context.Context) error) error {
	for end := time.Now().Add(patience); ; {
		asked, cancel := context.WithTimeout(ctx, fetchWait)
		err := ask(asked)
		cancel()
		api, refused := errors.AsType[*jetstream.APIError](err)
		early := refused && api.Code == http.StatusServiceUnavailable || errors.Is(err, context.DeadlineExceeded)
		if !early || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		if err := pause(ctx, askAgain); err != nil {
			return err
		}
	}
}
