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

// lookTimeout bounds one look at a message. A program without the right to look gets no
// answer at all.
const lookTimeout = 2 * time.Second

// Check makes sure that a message is stored which the stream calls a duplicate. The
// stream remembers an id alone: any program that may write to the stream can have used
// the id for something else, and the message that had it can be removed again.
type Check struct {
	// JS looks at messages. Nil is for a program that may not: it takes no message
	// for its own then.
	JS jetstream.JetStream
	// Publish sends a message to the stream once.
	Publish func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error)
	// Same reports whether found is the message m; nil is [Same].
	Same func(found *jetstream.RawStreamMsg, m *nats.Msg) bool
	// Taken, if set, is told once for each message whose id another one had, after the
	// message was stored.
	Taken func(Taken)
}

// Taken is a message that has the id of another one.
type Taken struct {
	Stream   string
	Sequence uint64
	Subject  string
	// ID is the message id.
	ID string
}

// Alarm is the alarm for people.
func (t Taken) Alarm() bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmIDTaken, Subject: t.Stream,
		Text: fmt.Sprintf("message %d of stream %s, on subject %q, was stored with the message id of another message, which was stored under an id of its own: "+
			"nothing is lost; look at who may publish there, as a program that uses the ids of others is broken or means harm", t.Sequence, t.Stream, t.Subject),
		Details: map[string]any{"stream": t.Stream, "sequence": t.Sequence, "subject": t.Subject, "id": printable.Truncate(t.ID, maxToldID)},
	}
}

// maxToldID bounds the id that an alarm tells, in bytes.
const maxToldID = 1 << 10

// Confirm returns the acknowledgement by which m is stored; ack is what the stream
// answered to m. When ack says duplicate, Confirm looks at the message that has the id.
// Unless that is m, Confirm publishes m under an id that is made of its own id and its
// content, so that a program which crashes and does the same again finds it, and at last
// under a random one. What cannot be looked at within 2 s counts as another message: twice
// is better than never. The error is that of a publish. m stays as it is.
func (c Check) Confirm(ctx context.Context, m *nats.Msg, ack *jetstream.PubAck) (*jetstream.PubAck, error) {
	if !ack.Duplicate {
		return ack, nil
	}
	id := bridge.Header(m.Header).Get(bridge.HeaderMsgID)
	var taken *Taken
	for _, own := range []string{id + ":" + digest(m), id + ":" + rand.Text()} {
		found, err := c.look(ctx, ack)
		switch {
		case err != nil && !errors.Is(err, bridge.ErrNotFound):
			c.JS = nil // one time-out is enough
		case err == nil && c.same(found, m):
			return ack, nil
		case err == nil && taken == nil:
			taken = &Taken{Stream: ack.Stream, Sequence: ack.Sequence, Subject: found.Subject, ID: id}
		}
		// What a server or a batch added to the header is not for this copy.
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

// errNoLook is of a program that may not look.
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

// Same reports whether found is m, or was made of the same event for the same purpose:
// subject, body and [SameHeader] are equal.
func Same(found *jetstream.RawStreamMsg, m *nats.Msg) bool {
	return found.Subject == m.Subject && bytes.Equal(found.Data, m.Data) && SameHeader(bridge.Header(found.Header), bridge.Header(m.Header))
}

// digest tells messages apart that have one id. What a letter says of its attempts can
// differ when the letter is made again, so the header is no part of it.
func digest(m *nats.Msg) string {
	h := sha256.New()
	h.Write([]byte(m.Subject + "\x00"))
	h.Write(m.Data)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
