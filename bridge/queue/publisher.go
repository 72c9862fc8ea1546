// Package queue is the producer's side of JetStream: the embedded server, the
// connection, the streams and the publisher that waits until an event is
// durable.
package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Publisher makes events durable in the stream of events. It is safe for
// concurrent use.
type Publisher struct {
	js    jetstream.JetStream
	names bridge.Names
	fit   atomic.Bool
}

// NewPublisher returns a publisher that uses js. It refuses every event until
// [Publisher.SetFit] says that the stream is one that keeps them.
func NewPublisher(js jetstream.JetStream, names bridge.Names) *Publisher {
	return &Publisher{js: js, names: names}
}

// SetFit says whether the stream is as [Provision] makes it. An acknowledgement
// of any other stream, in memory for example, proves nothing.
func (p *Publisher) SetFit(fit bool) { p.fit.Store(fit) }

// Publish returns when the stream has acknowledged the event: on the embedded
// server after fsync, on a cluster after its quorum. The error wraps one of
// bridge.ErrFull, ErrUnavailable, ErrUnknown and ErrTooLarge. The event's
// message id makes it safe to publish it again after any of them.
func (p *Publisher) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	if !p.fit.Load() {
		return bridge.Receipt{}, fmt.Errorf("publishing event: %w: stream %s is not provisioned", bridge.ErrUnavailable, p.names.EventsStream())
	}
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	ack, err := p.js.PublishMsg(ctx, &nats.Msg{
		Subject: p.names.Event(e.Source, e.Status, e.Model),
		Header:  header,
		Data:    e.Body,
	}, jetstream.WithRetryAttempts(0))
	if err != nil {
		return bridge.Receipt{}, fmt.Errorf("publishing event: %w: %w", classify(err), err)
	}
	if ack.Stream != p.names.EventsStream() {
		return bridge.Receipt{}, fmt.Errorf("publishing event: %w: stream %s took it instead of %s", bridge.ErrUnavailable, ack.Stream, p.names.EventsStream())
	}
	result := bridge.Stored
	if ack.Duplicate {
		result = bridge.Duplicate
	}
	return bridge.Receipt{Result: result, Stream: ack.Stream, Sequence: ack.Sequence}, nil
}

// Codes of the JetStream API, as nats-server 2.15 has them.
const (
	codeAccountResources  = 10002
	codeNoResources       = 10023
	codeStorageResources  = 10047
	codeMessageTooLarge   = 10054
	codeStoreFailed       = 10077
	codeHeaderTooLarge    = 10097
	codeDuplicateInFlight = 10158
	codeNoPeers           = 10005
	codeNotClustered      = 10074
)

// classify says what is known of an event whose publish ended in err. What is
// not known for sure is bridge.ErrUnknown: the message may have reached the
// stream although its answer did not reach us.
func classify(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeAccountResources, codeNoResources, codeStorageResources:
			return bridge.ErrFull
		case codeStoreFailed:
			// One code for every limit and for every fault of the store; only
			// its text tells them apart.
			if strings.Contains(api.Description, "maximum") {
				return bridge.ErrFull
			}
			return bridge.ErrUnknown
		case codeMessageTooLarge, codeHeaderTooLarge:
			return bridge.ErrTooLarge
		case codeDuplicateInFlight:
			// The first copy is on its way, and can still be lost with the
			// leader that has it.
			return bridge.ErrUnknown
		}
		return bridge.ErrUnavailable
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return bridge.ErrTooLarge
	case errors.Is(err, jetstream.ErrNoStreamResponse), // nobody took it
		errors.Is(err, nats.ErrReconnectBufExceeded), // not sent: no connection
		errors.Is(err, nats.ErrHeadersNotSupported):  // never connected yet
		return bridge.ErrUnavailable
	}
	return bridge.ErrUnknown
}
