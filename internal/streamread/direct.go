package streamread

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natspull"
)

// Streams is the part of [jetstream.JetStream] that finds streams and reads single messages.
type Streams interface {
	natspull.JetStream

	Stream(ctx context.Context, name string) (jetstream.Stream, error)
}

// Stream is a [jetstream.Stream] whose single messages [Get] and GetLastMsgForSubject return
// whatever their headers say: a message without a body that has the header Status is an error to
// package jetstream (nats.go 1.55.0), as if the server had answered so. It works only with the
// connection of its look-up, and is safe for concurrent use.
type Stream struct {
	jetstream.Stream

	js Streams
}

// GetLastMsgForSubject returns the last message with the subject. The error wraps
// [jetstream.ErrMsgNotFound] when there is none.
func (s *Stream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	info := s.CachedInfo()
	if !info.Config.AllowDirect {
		return s.Stream.GetLastMsgForSubject(ctx, subject)
	}
	return s.direct(ctx, info.Config.Name+"."+subject, nil)
}

// get returns the message with the sequence or, with a subject pattern, the first one from there
// on that matches.
func (s *Stream) get(ctx context.Context, seq uint64, pattern string) (*jetstream.RawStreamMsg, error) {
	info := s.CachedInfo()
	if !info.Config.AllowDirect { // the answer has the message in JSON
		if pattern == "" {
			return s.GetMsg(ctx, seq)
		}
		return s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(pattern))
	}
	request, err := json.Marshal(struct {
		Seq     uint64 `json:"seq"`
		Pattern string `json:"next_by_subj,omitempty"`
	}{seq, pattern})
	if err != nil {
		return nil, err
	}
	return s.direct(ctx, info.Config.Name, request)
}

func (s *Stream) direct(ctx context.Context, what string, request []byte) (*jetstream.RawStreamMsg, error) {
	m, err := Direct(ctx, s.js, what, request)
	if err != nil {
		return nil, err
	}
	return asStored(m)
}

// askTimeout bounds a direct get of a caller without a deadline.
const askTimeout = 5 * time.Second

// Direct returns the first answer to a direct get of a stream, or of a stream and a subject. It
// has the message, with what [Told] reads. The error wraps [jetstream.ErrMsgNotFound] or
// nats.ErrNoResponders when the server has none or does not have the stream.
func Direct(ctx context.Context, js natspull.JetStream, what string, request []byte) (*nats.Msg, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, cmp.Or(js.Options().DefaultTimeout, askTimeout))
		defer cancel()
	}
	nc, subject := js.Conn(), natspull.Prefix(js)+"DIRECT.GET."+what
	m, err := nc.RequestWithContext(ctx, subject, request)
	if errors.Is(err, nats.ErrNoResponders) { // or a message claims so, which nats.go believes
		m, err = askApart(ctx, nc, subject, request)
	}
	if err != nil {
		return nil, err
	}
	if Told(m, jetstream.SequenceHeader) != "" {
		return m, nil
	}
	switch code := m.Header.Get("Status"); code {
	case "":
		return nil, errSenseless
	case "404":
		return nil, jetstream.ErrMsgNotFound
	case "503":
		return nil, nats.ErrNoResponders
	default:
		return nil, fmt.Errorf("the server answers %s %s", code, m.Header.Get("Description"))
	}
}

// askApart is a request with an inbox of its own, whose answer nats.go does not look at.
func askApart(ctx context.Context, nc *nats.Conn, subject string, request []byte) (*nats.Msg, error) {
	in := make(chan *nats.Msg, 1)
	sub, err := nc.ChanSubscribe(nc.NewInbox(), in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed
	if err := nc.PublishRequest(subject, sub.Subject, request); err != nil {
		return nil, err
	}
	select {
	case m := <-in:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Told returns what the server says of the message of a direct get. It says so in headers
// behind the message's own, which a publisher may have forged.
func Told(m *nats.Msg, key string) string {
	values := m.Header[key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

func asStored(m *nats.Msg) (*jetstream.RawStreamMsg, error) {
	seq, err := strconv.ParseUint(Told(m, jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, Told(m, jetstream.TimeStampHeaer))
	if err != nil {
		return nil, err
	}
	return &jetstream.RawStreamMsg{Subject: Told(m, jetstream.SubjectHeader), Sequence: seq, Time: at, Header: m.Header, Data: m.Data}, nil
}
