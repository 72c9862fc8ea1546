package streamread

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natspull"
)

const (
	// readerGone is after how long the server removes a reader whose process is gone.
	readerGone = 5 * time.Minute
	// readerHeartbeat: a server that is silent for two of them is taken for gone.
	readerHeartbeat = 2 * time.Second
	// closeTimeout bounds the removal of a reader: at the end of the process the server may be
	// gone already.
	closeTimeout = 500 * time.Millisecond
)

// errMissing: the server has sent a message that did not arrive.
var errMissing = errors.New("a message is missing")

// ReaderConfig says what a [Reader] reads.
type ReaderConfig struct {
	// Stream is the name of the stream, Subjects are patterns; none reads everything.
	Stream   string
	Subjects []string
	// After excludes the messages up to that sequence.
	After uint64
	// Since, unless zero, excludes the messages before that time instead; New excludes all that
	// are there.
	Since time.Time
	New   bool
	// HeadersOnly leaves the bodies out. The header Nats-Msg-Size has their size.
	HeadersOnly bool
	// Description is what operators of NATS see.
	Description string
}

// Reader reads a stream forwards, by a consumer in the server's memory that acknowledges
// nothing. It belongs to one goroutine.
type Reader struct {
	js        jetstream.JetStream
	stream    string
	consumer  jetstream.Consumer
	name      string
	delivered uint64
	pending   uint64
}

// createTime bounds the wait for the server's answer that a reader is there.
const createTime = 10 * time.Second

// NewReader makes a reader. The caller calls Close unless there is an error.
func NewReader(ctx context.Context, js jetstream.JetStream, cfg ReaderConfig) (*Reader, error) {
	// The name is chosen here so that a consumer can be removed whose creation was cut short.
	r := &Reader{js: js, stream: cfg.Stream, name: rand.Text()}
	consumer := jetstream.ConsumerConfig{
		Name: r.name, Description: cfg.Description, FilterSubjects: cfg.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: cfg.After + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readerGone, HeadersOnly: cfg.HeadersOnly,
	}
	switch {
	case cfg.New:
		consumer.DeliverPolicy, consumer.OptStartSeq = jetstream.DeliverNewPolicy, 0
	case !cfg.Since.IsZero():
		consumer.DeliverPolicy, consumer.OptStartSeq, consumer.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &cfg.Since
	}
	// A request that gets lost, as when a cluster elects a leader, is to be made again soon, however
	// long the reading may take.
	creating, cancel := context.WithTimeout(ctx, createTime)
	defer cancel()
	c, err := js.CreateConsumer(creating, cfg.Stream, consumer)
	if err != nil {
		r.Close(ctx)
		return nil, fmt.Errorf("making a reader of %s: %w", cfg.Stream, err)
	}
	r.consumer, r.pending = c, c.CachedInfo().NumPending
	return r, nil
}

// Pending returns how many messages were still to be read at the last answer of the server.
func (r *Reader) Pending() uint64 { return r.pending }

// Fetch calls visit with up to n messages that come within that time, or at once where the
// server has them, and returns the first error of visit. bytes, unless zero, bounds their size:
// a message that alone is larger does not come. A message that got lost on the way is an error.
// After any error, read on behind the last message with another reader.
func (r *Reader) Fetch(ctx context.Context, n, bytes int, within time.Duration, visit func(*jetstream.MsgMetadata, jetstream.Msg) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request := natspull.Request{Stream: r.stream, Consumer: r.name, Messages: n, Bytes: bytes}
	if within > 3*readerHeartbeat {
		request.Heartbeat = readerHeartbeat
	}
	err := natspull.Fetch(ctx, r.js, request, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if r.delivered++; meta.Sequence.Consumer != r.delivered {
			return errMissing
		}
		r.pending = meta.NumPending
		return visit(meta, m)
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	return nil
}

const (
	// restMessages and restBytes bound one request of ReadTo, restWait is how long it waits.
	restMessages = 1000
	restBytes    = 4 << 20
	restWait     = 5 * time.Second
)

// ReadTo calls visit with the messages up to the sequence last, and returns the first error of
// visit. It returns nil once none is left up to there.
func (r *Reader) ReadTo(ctx context.Context, last uint64, visit func(*jetstream.MsgMetadata, jetstream.Msg) error) error {
	bytes := restBytes
	for at := uint64(0); r.pending > 0 && at < last; {
		before, n := r.delivered, 1
		if bytes > 0 {
			n = int(min(r.pending, restMessages)) //nolint:gosec // bounded
		}
		err := r.Fetch(ctx, n, bytes, restWait, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
			if at = meta.Sequence.Stream; at > last {
				return nil
			}
			return visit(meta, m)
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		bytes = restBytes
		if r.delivered == before { // the messages were removed, or the next one is too large
			info, err := r.Info(ctx)
			if err == nil && info.Delivered.Consumer != r.delivered {
				err = errMissing
			}
			if err != nil {
				return fmt.Errorf("reading %s: %w", r.stream, err)
			}
			bytes, r.pending = 0, info.NumPending
		}
	}
	return nil
}

// Info asks the server for the consumer. Any goroutine may call it.
func (r *Reader) Info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	return r.consumer.Info(ctx)
}

// Close removes the reader, or the server does after five minutes.
func (r *Reader) Close(ctx context.Context) {
	if !r.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = r.js.DeleteConsumer(ctx, r.stream, r.name)
}
