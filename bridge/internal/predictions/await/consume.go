package await

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errGap: a message that the server sent did not arrive.
var errGap = errors.New("a message was lost on the way")

// consume calls handle for each message that is stored from now on. It does not use the library's ordered consumer, which does not tell when it starts
// anew: then messages may have been missed, and waiters must read the view.
// Trouble is told once when messages may be missing.
func (h *Hub) consume(
	ctx context.Context, stream, subject string, handle func(*jetstream.MsgMetadata, jetstream.Msg), trouble chan<- error,
) (end func(), err error) {
	// The name is chosen here so that a consumer can be removed whose creation was cut
	// short.
	name := "await-" + rand.Text()
	consumer, err := h.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Name: name, Description: "those who wait for predictions", FilterSubject: subject, DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: forgetAfter,
	})
	if err != nil {
		forget(h.js, stream, name) //nolint:contextcheck // ctx may have ended
		return nil, fmt.Errorf("listening to %s: %w", stream, err)
	}
	fail := func(err error) {
		select {
		case trouble <- fmt.Errorf("listening to %s: %w", stream, err):
		default:
		}
	}
	expected := uint64(1)
	// The server does not send a message larger than the client requests.
	ahead := max(maxAhead, 2*int(h.js.Conn().MaxPayload()))
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != expected {
			fail(errors.Join(errGap, err))
			return
		}
		expected++
		handle(meta, m)
	},
		jetstream.PullMaxBytes(ahead), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { fail(err) }))
	if err != nil {
		return nil, fmt.Errorf("listening to %s: %w", stream, err)
	}
	return func() { //nolint:contextcheck // it is called when that has ended
		consuming.Stop()
		<-consuming.Closed()
		forget(h.js, stream, name)
	}, nil
}

// forget removes a consumer if the server answers; otherwise the server removes it after
// forgetAfter.
func forget(js jetstream.JetStream, stream, name string) {
	if !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, name)
}
