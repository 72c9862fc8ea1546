package await

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streamread"
)

// aheadMessages is how many messages one request is for.
const aheadMessages = 1000

// consume calls handle for each message that is stored from now on. It does not go on by itself
// after an error, as the library's ordered consumer does: then messages may have been missed, and
// waiters must read the view. Trouble is told once when messages may be missing.
func (h *Hub) consume(
	ctx context.Context, stream, subject string, handle func(*jetstream.MsgMetadata, jetstream.Msg), trouble chan<- error,
) (end func(), err error) {
	r, err := streamread.NewReader(ctx, h.js, streamread.ReaderConfig{
		Stream: stream, Subjects: []string{subject}, New: true, Description: "those who wait for predictions",
	})
	if err != nil {
		return nil, err
	}
	// The server does not send a message larger than the client requests.
	ahead := max(maxAhead, 2*int(h.js.Conn().MaxPayload()))
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for reading.Err() == nil {
			err := r.Fetch(reading, aheadMessages, ahead, pullExpiry, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
				handle(meta, m)
				return nil
			})
			if err != nil && reading.Err() == nil {
				trouble <- fmt.Errorf("listening to %s: %w", stream, err)
				return
			}
		}
	}()
	return func() {
		stop()
		<-ended
		r.Close(reading)
	}, nil
}
