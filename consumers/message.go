package consumers

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// message makes a [jetstream.Msg] of what a subscription brought: package jetstream
// makes one of its own messages alone.
type message struct{ *nats.Msg }

var _ jetstream.Msg = message{}

func (m message) Data() []byte         { return m.Msg.Data }
func (m message) Headers() nats.Header { return m.Header }
func (m message) Subject() string      { return m.Msg.Subject }
func (m message) Reply() string        { return m.Msg.Reply }

func (m message) Metadata() (*jetstream.MsgMetadata, error) {
	meta, err := m.Msg.Metadata()
	if err != nil {
		return nil, err
	}
	return &jetstream.MsgMetadata{
		Sequence:     jetstream.SequencePair(meta.Sequence),
		NumDelivered: meta.NumDelivered, NumPending: meta.NumPending,
		Timestamp: meta.Timestamp, Stream: meta.Stream, Consumer: meta.Consumer, Domain: meta.Domain,
	}, nil
}

func (m message) Ack() error                             { return m.Msg.Ack() }
func (m message) DoubleAck(ctx context.Context) error    { return m.AckSync(nats.Context(ctx)) }
func (m message) Nak() error                             { return m.Msg.Nak() }
func (m message) NakWithDelay(delay time.Duration) error { return m.Msg.NakWithDelay(delay) }
func (m message) InProgress() error                      { return m.Msg.InProgress() }
func (m message) Term() error                            { return m.Msg.Term() }
func (m message) TermWithReason(reason string) error     { return m.Respond([]byte("+TERM " + reason)) }
