package streamread

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	delivered uint64
	pending   uint64
}

// NewReader makes a reader. The caller calls Close unless there is an error.
func NewReader(ctx context.Context, js jetstream.JetStream, cfg ReaderConfig) (*Reader, error) {
	r := &Reader{js: js, stream: cfg.Stream}
	// The name is chosen here so that a consumer can be removed whose creation was cut short.
	name := rand.Text()
	c, err := js.CreateConsumer(ctx, cfg.Stream, jetstream.ConsumerConfig{
		Name: name, Description: cfg.Description, FilterSubjects: cfg.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: cfg.After + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readerGone, HeadersOnly: cfg.HeadersOnly,
	})
	if err != nil {
		r.remove(ctx, name)
		return nil, fmt.Errorf("making a reader of %s: %w", cfg.Stream, err)
	}
	r.consumer, r.pending = c, c.CachedInfo().NumPending
	return r, nil
}

// Pending returns how many messages were still to be read at the last answer of the server.
func (r *Reader) Pending() uint64 { return r.pending }

// Fetch calls visit with up to n messages that come within that time, or at once where the
// server has them, and returns the first error of visit. A message that got lost on the way is
// an error: read on behind the last one with another reader.
func (r *Reader) Fetch(ctx context.Context, n int, within time.Duration, visit func(*jetstream.MsgMetadata, jetstream.Msg) error, opts ...jetstream.FetchOpt) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	opts = append(opts, jetstream.FetchContext(ctx))
	if within > 3*readerHeartbeat {
		opts = append(opts, jetstream.FetchHeartbeat(readerHeartbeat))
	}
	batch, err := r.consumer.Fetch(n, opts...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	for m := range batch.Messages() {
		if err != nil {
			continue // the batch is read to its end
		}
		var meta *jetstream.MsgMetadata
		if meta, err = m.Metadata(); err != nil {
			continue
		}
		if r.delivered++; meta.Sequence.Consumer != r.delivered {
			err = errMissing
			continue
		}
		r.pending = meta.NumPending
		err = visit(meta, m)
	}
	if failed := batch.Error(); err == nil && failed != nil && !errors.Is(failed, nats.ErrTimeout) && !errors.Is(failed, ctx.Err()) {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	return nil
}

// Info asks the server for the consumer. Any goroutine may call it.
func (r *Reader) Info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	return r.consumer.Info(ctx)
}

// Close removes the reader, or the server does after five minutes.
func (r *Reader) Close(ctx context.Context) { r.remove(ctx, r.consumer.CachedInfo().Name) }

func (r *Reader) remove(ctx context.Context, name string) {
	if !r.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = r.js.DeleteConsumer(ctx, r.stream, name)
}
