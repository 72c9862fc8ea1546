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
	fetchWait = 5 * time.Second
	// readerAge is how long the server keeps a reader that has gone.
	readerAge   = time.Minute
	readerRetry = 500 * time.Millisecond
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

// newReader returns a consumer of the whole stream. A cluster that has just come
// together again takes a while until it makes one.
func newReader(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	for end := time.Now().Add(patience); ; {
		reader, err := js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
			DeliverPolicy:     jetstream.DeliverAllPolicy,
			AckPolicy:         jetstream.AckNonePolicy,
			MemoryStorage:     true,
			InactiveThreshold: readerAge,
		})
		api, refused := errors.AsType[*jetstream.APIError](err)
		if !refused || api.Code != http.StatusServiceUnavailable || time.Now().After(end) {
			return reader, err
		}
		if err := pause(ctx, readerRetry); err != nil {
			return nil, err
		}
	}
}

// streamState is what the server says of the stream of events.
func streamState(ctx context.Context, nc *nats.Conn) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, eventsStream)
	if err != nil {
		return nil, fmt.Errorf("asking for the state of the events: %w", err)
	}
	return stream.CachedInfo(), nil
}
