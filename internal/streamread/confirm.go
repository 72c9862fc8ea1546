package streamread

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// lookTimeout bounds one look-up of a message. A program without permission gets no answer at
// all.
const lookTimeout = 2 * time.Second

// Check makes sure that a message is stored which the stream calls a duplicate. The stream
// remembers only ids: another program that may write to the stream can have used the id, and
// the message with the id can have been removed.
type Check struct {
	// JS looks up messages. Nil is for a program without permission: it recognises no message
	// as its own.
	JS jetstream.JetStream
	// Publish sends a message to the stream once.
	Publish func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error)
	// Certain is for a caller that comes again: a look-up that fails is an error, and nothing is
	// published. A message that is stored already is not stored twice because the server is busy.
	Certain bool
	// Same reports whether found is the message m; nil is [Same].
	Same func(found *jetstream.RawStreamMsg, m *nats.Msg) bool
	// Taken, if set, is called once for each message whose id another one had, after the
	// message was stored.
	Taken func(Taken)
}

// Taken is a message whose id another message has.
type Taken struct {
	Stream   string
	Sequence uint64
	Subject  string
	// ID is the message id.
	ID string
}

// Alarm returns the alarm for operators.
func (t Taken) Alarm() bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmIDTaken, Subject: t.Stream,
		Text: fmt.Sprintf("message %d of stream %s, on subject %q, was stored with the message id of another message, which was stored under an id of its own: "+
			"nothing is lost; look at who may publish there, as a program that uses the ids of others is broken or means harm", t.Sequence, t.Stream, t.Subject),
		Details: map[string]any{"stream": t.Stream, "sequence": t.Sequence, "subject": t.Subject, "id": printable.Truncate(t.ID, maxToldID)},
	}
}

// maxToldID bounds the id in an alarm, in bytes.
const maxToldID = 1 << 10

// Confirm returns the acknowledgement of m; ack is the stream's answer to m. If ack says
// duplicate, Confirm looks up the message with the id. Unless that is m, Confirm publishes m
// under an id made of its own id and content, so that a program which crashes and repeats the
// call finds it, and at last under a random id. A message that cannot be looked up within 2 s
// counts as another one, unless Certain is set: twice is better than never. The error is that of a
// publish, or with Certain that of a look-up. m is not changed.
func (c Check) Confirm(ctx context.Context, m *nats.Msg, ack *jetstream.PubAck) (*jetstream.PubAck, error) {
	if !ack.Duplicate {
		return ack, nil
	}
	id := bridge.Header(m.Header).Get(bridge.HeaderMsgID)
	var taken *Taken
	for _, own := range []string{id + ":" + digest(m), id + ":" + rand.Text()} {
		found, err := c.look(ctx, ack)
		switch {
		case err != nil && !errors.Is(err, bridge.ErrNotFound) && c.Certain:
			return nil, fmt.Errorf("looking up message %d of stream %s, which has the id of another one: %w", ack.Sequence, ack.Stream, err)
		case err != nil && !errors.Is(err, bridge.ErrNotFound):
			c.JS = nil // one time-out is enough
		case err == nil && c.same(found, m):
			return ack, nil
		case err == nil && taken == nil:
			taken = &Taken{Stream: ack.Stream, Sequence: ack.Sequence, Subject: found.Subject, ID: id}
		}
		// Without headers that a server or a batch has added.
		header := bridge.Header(m.Header).Republish()
		header[bridge.HeaderMsgID] = []string{own}
		if ack, err = c.Publish(ctx, &nats.Msg{Subject: m.Subject, Header: nats.Header(header), Data: m.Data}); err != nil {
			return nil, err
		}
		if !ack.Duplicate {
			break
		}
	}
	if taken != nil && c.Taken != nil {
		c.Taken(*taken)
	}
	return ack, nil
}

// errNoLook is for a program without permission to look up messages.
var errNoLook = errors.New("messages of the stream cannot be looked at")

func (c Check) look(ctx context.Context, ack *jetstream.PubAck) (*jetstream.RawStreamMsg, error) {
	if c.JS == nil {
		return nil, errNoLook
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := Open(ctx, c.JS, ack.Stream)
	if err != nil {
		return nil, err
	}
	return Get(ctx, stream, ack.Sequence)
}

func (c Check) same(found *jetstream.RawStreamMsg, m *nats.Msg) bool {
	if c.Same != nil {
		return c.Same(found, m)
	}
	return Same(found, m)
}

// Same reports whether found is m, or was made of the same event for the same purpose: subject,
// body and [SameHeader] are equal.
func Same(found *jetstream.RawStreamMsg, m *nats.Msg) bool {
	return found.Subject == m.Subject && bytes.Equal(found.Data, m.Data) && SameHeader(bridge.Header(found.Header), bridge.Header(m.Header))
}

// digest tells messages with the same id apart. It excludes the header: a repeated dead letter
// may describe the attempts differently.
func digest(m *nats.Msg) string {
	h := sha256.New()
	h.Write([]byte(m.Subject + "\x00"))
	h.Write(m.Data)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
