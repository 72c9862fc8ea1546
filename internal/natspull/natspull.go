// Package natspull asks pull consumers of JetStream for messages. It tells stored messages from
// what the server says of a request by the reply subject, which only the server sets. nats.go
// (1.55.0) tells them by the header Status of a message without a body, or without its body: it
// drops such a message, and may end the request, although any publisher can set that header.
// The protocol is ADR-13 of NATS.
package natspull

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream is the part of [jetstream.JetStream] that says where to ask.
type JetStream interface {
	Conn() *nats.Conn
	Options() jetstream.JetStreamOptions
}

// Prefix returns how the subjects of JetStream's API begin, with the last point.
func Prefix(js JetStream) string {
	switch opts := js.Options(); {
	case opts.Domain != "":
		return "$JS." + opts.Domain + ".API."
	case opts.APIPrefix != "":
		return strings.TrimSuffix(opts.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// Subject returns where a consumer takes requests for messages.
func Subject(js JetStream, stream, consumer string) string {
	return Prefix(js) + "CONSUMER.MSG.NEXT." + stream + "." + consumer
}

// Request asks a consumer for messages.
type Request struct {
	Stream, Consumer string
	// Messages is how many messages are wanted, at least one.
	Messages int
	// Bytes, unless zero, bounds their size. The server sends no message that is larger.
	Bytes int
	// Heartbeat, unless zero, is how often a waiting server says so.
	Heartbeat time.Duration
}

// longest is how long a request without a deadline waits at the server.
const longest = 30 * time.Second

// Fetch calls visit with each message as it comes, and returns its first error. Fetch returns
// nil once all that were wanted have come, the server has ended the request or ctx has ended.
// The request ends at the server shortly before ctx does, so that no message is on its way then.
// The error wraps nats.ErrNoHeartbeat when the server is silent for two heartbeats.
func Fetch(ctx context.Context, js JetStream, r Request, visit func(jetstream.Msg) error) error {
	nc := js.Conn()
	const words = 64 // room for what the server says of the request
	in := make(chan *nats.Msg, r.Messages+words)
	sub, err := nc.ChanSubscribe(nc.NewInbox(), in)
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed
	patience, err := r.ask(ctx, nc, Subject(js, r.Stream, r.Consumer), sub.Subject)
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for left, bytes := r.Messages, 0; left > 0 && (r.Bytes == 0 || bytes < r.Bytes); {
		m, err := next(ctx, in, silence.C)
		if m == nil {
			return err
		}
		silence.Reset(patience)
		msg, ok := Message(m, js.Conn)
		if !ok {
			if over, err := word(m); over || err != nil {
				return err
			}
			continue
		}
		if err := visit(msg); err != nil {
			return err
		}
		left, bytes = left-1, bytes+m.Size()
	}
	return nil
}

// next returns what comes next. What has come counts although ctx has ended meanwhile: the server
// does not send it again soon, or ever.
func next(ctx context.Context, in <-chan *nats.Msg, silence <-chan time.Time) (*nats.Msg, error) {
	select {
	case m := <-in:
		return m, nil
	default:
	}
	select {
	case m := <-in:
		return m, nil
	case <-silence:
		return nil, fmt.Errorf("asking for messages: %w", nats.ErrNoHeartbeat)
	case <-ctx.Done():
		return nil, nil
	}
}

// ask sends the request, and returns for how long the server may be silent.
func (r Request) ask(ctx context.Context, nc *nats.Conn, subject, inbox string) (patience time.Duration, err error) {
	expires := longest
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if expires = left - min(left/10, time.Second); expires <= 0 {
			return 0, context.DeadlineExceeded
		}
	}
	patience = 2 * r.Heartbeat
	if r.Heartbeat == 0 || patience > expires { // the server takes no heartbeat then
		r.Heartbeat, patience = 0, 2*expires
	}
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Bytes     int           `json:"max_bytes,omitempty"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
	}{r.Messages, r.Bytes, expires, r.Heartbeat})
	if err != nil {
		return 0, err
	}
	return patience, nc.PublishRequest(subject, inbox, request)
}

// word reads what the server says of a request: that it is over, or why it failed.
func word(m *nats.Msg) (over bool, err error) {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "100": // a heartbeat
		return false, nil
	case code == "404", code == "408", code == "409" && (text == "Message Size Exceeds MaxBytes" || text == "Batch Completed"):
		return true, nil
	case code == "503":
		err = nats.ErrNoResponders
	case text == "Consumer Deleted":
		err = jetstream.ErrConsumerDeleted
	case text == "Server Shutdown":
		err = jetstream.ErrServerShutdown
	default:
		err = fmt.Errorf("the server answers %s %s", code, text)
	}
	return false, fmt.Errorf("asking for messages: %w", err)
}
