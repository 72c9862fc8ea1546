package backup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/archive"
)

// maxEntry bounds what is read of an archive at once: a stream's state, or a consumer with all
// that waits for its acknowledgement.
const maxEntry = 64 << 20

// edit says how the archive of a stream is rewritten on its way.
type edit struct {
	// after leaves out the messages up to this sequence.
	after uint64
	// without leaves out the consumers.
	without bool
	// paused has the time until which a durable was paused before the backup paused it.
	paused map[string]time.Time
	// maxAge is that of the stream, zero for none. With ttl its messages may have times of their
	// own.
	maxAge time.Duration
	ttl    bool
	// tail has the messages that were stored after those of the archive; nil: none.
	tail io.Reader
	// tailLast is the last sequence of the stream with the tail.
	tailLast uint64
}

// Content is what an archive of a stream has.
type Content struct {
	// First and Last are the sequences of the stream, Messages how many of them are there.
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Messages uint64 `json:"messages"`
	// Oldest is the sequence of the first message, 0 if there is none.
	Oldest uint64 `json:"oldest"`
	// MayExpire is how many of the messages may have a time of their own to go, or were nearly as
	// old as the stream keeps them: they may be missing after a restore.
	MayExpire uint64 `json:"may_expire,omitempty"`
	// Largest is the largest message with its header, in bytes.
	Largest  int64     `json:"largest"`
	Durables []Durable `json:"durables,omitempty"`
}

// Durable is the position of one in its stream.
type Durable struct {
	Name string `json:"name"`
	// Delivered and Acknowledged are stream sequences: the last delivered one, and the one up to
	// which all are acknowledged.
	Delivered    uint64 `json:"delivered"`
	Acknowledged uint64 `json:"acknowledged"`
	// Pending is how many were delivered and not acknowledged.
	Pending int `json:"pending,omitempty"`
}

// expiresWithin is how long a restore or a migration may take until its streams are counted.
const expiresWithin = time.Hour

var errArchive = errors.New("it is no snapshot of a stream as nats-server 2.15 makes them")

// rewrite copies the archive of a stream and returns what the copy has. It holds one message at
// a time. Consumers that are not durable are left out: nobody would find them again.
func rewrite(to io.Writer, from io.Reader, e edit) (c Content, err error) {
	in := archive.NewReader(s2.NewReader(from))
	state, err := readState(in)
	if err != nil {
		return c, err
	}
	consumers, err := readConsumers(in, state.Consumers)
	if err != nil {
		return c, err
	}
	if e.without {
		consumers = nil
	}
	for i := range consumers {
		o := consumers[i]
		if until, was := e.paused[o.Durable]; was {
			o.PauseUntil = nil
			if !until.IsZero() {
				o.PauseUntil = &until
			}
		}
		c.Durables = append(c.Durables, Durable{Name: o.Durable, Delivered: o.Delivered.Stream, Acknowledged: o.AckFloor.Stream, Pending: len(o.Pending)})
	}
	state.Consumers = len(consumers)
	if e.tail != nil {
		state.FirstSeq, state.LastSeq = max(state.FirstSeq, 1), max(state.LastSeq, e.tailLast)
		state.Msgs = state.LastSeq + 1 - state.FirstSeq // the most that there can be
	}
	c.First, c.Last = state.FirstSeq, state.LastSeq

	packed := s2.NewWriter(to)
	defer func() { err = errors.Join(err, packed.Close()) }() // after an error too, which ends its goroutine
	out := archive.NewWriter(packed)
	if err := writeJSON(out, "state.json", state); err != nil {
		return c, err
	}
	for _, o := range consumers {
		if err := writeJSON(out, "consumers/"+o.Durable, o); err != nil {
			return c, err
		}
	}
	if err := c.copyMessages(out, in, e); err != nil {
		return c, err
	}
	if e.tail != nil {
		tail := archive.NewReader(s2.NewReader(e.tail))
		if _, err := readState(tail); err != nil {
			return c, err
		}
		if err := c.copyMessages(out, tail, e); err != nil {
			return c, err
		}
	}
	return c, errors.Join(out.WriteHeader(&archive.Header{}), out.Flush())
}

func readState(in *archive.Reader) (state server.StreamState, err error) {
	h, err := in.Next()
	if err != nil || h.Name != "state.json" {
		return state, fmt.Errorf("%w: %w", errArchive, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	if err := readJSON(in, h, &state); err != nil {
		return state, err
	}
	if state.Consumers < 0 || state.FirstSeq > state.LastSeq+1 {
		return state, errArchive
	}
	return state, nil
}

func readJSON(in *archive.Reader, h *archive.Header, into any) error {
	if h.PayloadSize < 0 || h.PayloadSize > maxEntry || h.HeaderSize != 0 {
		return fmt.Errorf("%w: %q has %d bytes", errArchive, h.Name, h.PayloadSize)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEntry))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return nil
}

func writeJSON(out *archive.Writer, name string, of any) error {
	text, err := json.Marshal(of)
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&archive.Header{Name: name, Timestamp: time.Now().UnixNano(), PayloadSize: int64(len(text))}); err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// maxConsumers is more than a stream may have.
const maxConsumers = 1 << 16

func readConsumers(in *archive.Reader, n int) (durable []server.SnapshotConsumerState, err error) {
	if n > maxConsumers {
		return nil, fmt.Errorf("%w: it has %d consumers", errArchive, n)
	}
	for range n {
		h, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errArchive, err)
		}
		var o server.SnapshotConsumerState
		if err := readJSON(in, h, &o); err != nil {
			return nil, err
		}
		if o.ConsumerConfig == nil || o.ConsumerState == nil || h.Name != "consumers/"+o.Name && h.Name != "consumers/"+o.Durable {
			return nil, fmt.Errorf("%w: %q is no consumer", errArchive, h.Name)
		}
		if o.Durable != "" {
			durable = append(durable, o)
		}
	}
	return durable, nil
}

func (c *Content) copyMessages(out *archive.Writer, in *archive.Reader, e edit) error {
	soon, buffer := time.Now().Add(expiresWithin), make([]byte, 32<<10)
	for {
		h, err := in.Next()
		switch {
		case err != nil:
			return fmt.Errorf("%w: it was cut off: %w", errArchive, err)
		case h.Sequence == 0 && h.Name == "":
			return nil
		case h.Sequence == 0 || h.HeaderSize < 0 || h.PayloadSize < 0:
			return errArchive
		case h.Sequence <= e.after:
			continue // the reader passes over what was not read
		}
		c.Messages++
		if c.Oldest == 0 {
			c.Oldest = h.Sequence
		}
		c.Largest = max(c.Largest, h.HeaderSize+h.PayloadSize)
		if e.ttl || e.maxAge > 0 && time.Unix(0, h.Timestamp).Add(e.maxAge).Before(soon) {
			c.MayExpire++
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.CopyBuffer(out, in, buffer); err != nil {
			return err
		}
	}
}
