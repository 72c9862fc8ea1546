package natspull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// message is a [jetstream.Msg] made of a message of a subscription: package jetstream makes one
// only of its own messages. The server takes a verdict from any connection, so a verdict goes
// over the current one when the connection that brought the message is closed.
type message struct {
	*nats.Msg

	conn func() *nats.Conn // returns the current connection
}

// Message returns what the server delivered as the answer to a request for messages. conn
// returns the current connection. ok is false for what the server says of the request itself.
func Message(m *nats.Msg, conn func() *nats.Conn) (msg jetstream.Msg, ok bool) {
	if m.Reply == "" { // a stored message has one, which takes its verdict
		return nil, false
	}
	return message{m, conn}, true
}

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

func (m message) Ack() error        { return m.orElse(m.Msg.Ack(), "+ACK") }
func (m message) Nak() error        { return m.orElse(m.Msg.Nak(), "-NAK") }
func (m message) InProgress() error { return m.orElse(m.Msg.InProgress(), "+WPI") }
func (m message) Term() error       { return m.orElse(m.Msg.Term(), "+TERM") }

func (m message) NakWithDelay(delay time.Duration) error {
	return m.orElse(m.Msg.NakWithDelay(delay), fmt.Sprintf(`-NAK {"delay": %d}`, delay))
}

func (m message) TermWithReason(reason string) error {
	verdict := "+TERM " + reason
	return m.orElse(m.Respond([]byte(verdict)), verdict)
}

func (m message) DoubleAck(ctx context.Context) error {
	err := m.AckSync(nats.Context(ctx))
	if errors.Is(err, nats.ErrConnectionClosed) {
		_, err = m.conn().RequestWithContext(ctx, m.Msg.Reply, []byte("+ACK"))
	}
	return err
}

// orElse sends the verdict over the current connection when err says that the message's own is
// closed.
func (m message) orElse(err error, verdict string) error {
	if errors.Is(err, nats.ErrConnectionClosed) {
		return m.conn().Publish(m.Msg.Reply, []byte(verdict))
	}
	return err
}
