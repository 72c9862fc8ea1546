package rig

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

// What another team's program must know of the events. A rig reads them as such a program
// does, so it takes none of this from Hookspan's packages.
const (
	EventsStream  = "HOOKSPAN_EVENTS"
	EventsPrefix  = "hookspan.events." + SourceName + "."
	HeaderMsgID   = "Nats-Msg-Id"
	HeaderEventID = "ce-id"
	HeaderSubject = "ce-subject" // the prediction
)

const (
	fetchSize = 500
	fetchWait = 10 * time.Second
	readerAge = time.Minute // how long the server keeps a reader that has gone
)

// ErrUnreadable means that the server counts messages that it gives to nobody.
var ErrUnreadable = errors.New("messages are counted that do not come")

// ReadEvents calls add for every message below the subject prefix in the stream of
// events, from the first one on. The error wraps [ErrUnreadable] when all were read that
// can be, and not all can.
func ReadEvents(ctx context.Context, nc *nats.Conn, prefix string, add func(subject string, header nats.Header, body []byte)) error {
	js := Must(jetstream.New(nc))
	var reader jetstream.Consumer
	insist(ctx, "reading the events", func(ctx context.Context) (err error) {
		reader, err = js.CreateConsumer(ctx, EventsStream, jetstream.ConsumerConfig{
			FilterSubject: prefix + ">", DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy,
			MemoryStorage: true, InactiveThreshold: readerAge,
		})
		return err
	})
	for pending := reader.CachedInfo().NumPending; pending > 0; {
		batch, err := reader.Fetch(int(min(pending, fetchSize)), jetstream.FetchMaxWait(fetchWait))
		if err != nil {
			return fmt.Errorf("reading the events: %w", err)
		}
		got := false
		for msg := range batch.Messages() {
			got, pending = true, Must(msg.Metadata()).NumPending
			add(msg.Subject(), msg.Headers(), msg.Data())
		}
		if err := cmp.Or(batch.Error(), ctx.Err()); err != nil {
			return fmt.Errorf("reading the events: %w", err)
		}
		if !got {
			return fmt.Errorf("reading the events: %w: %d within %v", ErrUnreadable, pending, fetchWait)
		}
	}
	return nil
}

// StreamInfo is what the server says of the stream of events.
func StreamInfo(ctx context.Context, js jetstream.JetStream) (info *jetstream.StreamInfo) {
	insist(ctx, "asking for the state of the events", func(ctx context.Context) error {
		stream, err := js.Stream(ctx, EventsStream)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info
}

// insist asks again while there is no answer or a refusal for now, for a minute: a
// cluster that has just come together again needs a while, and so does a bridge that has
// just begun to make its streams.
func insist(ctx context.Context, what string, ask func(ctx context.Context) error) {
	for end := time.Now().Add(time.Minute); ; {
		asked, cancel := context.WithTimeout(ctx, fetchWait)
		err := ask(asked)
		cancel()
		if err == nil {
			return
		}
		api, refused := errors.AsType[*jetstream.APIError](err)
		early := refused && api.Code == http.StatusServiceUnavailable ||
			errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.DeadlineExceeded)
		if !early || ctx.Err() != nil || time.Now().After(end) {
			Check(err, what)
		}
		Check(Pause(ctx, 100*time.Millisecond))
	}
}
