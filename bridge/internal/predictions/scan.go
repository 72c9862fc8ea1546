package predictions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// scanBlock is how many keys are read at once.
	scanBlock = 1000
	// scanIdle is when the server forgets a scan.
	scanIdle = 10 * time.Second
	// silentFetches is how many empty fetches in a row fail a scan.
	silentFetches = 3
)

type value struct {
	key      string
	revision uint64
	data     []byte
}

var errEnough = errors.New("enough")

// scan visits the keys that match the pattern, from a revision on, in the order of their
// last changes. It is made for many keys. It returns visit's error, except errEnough.
func (b *bucket) scan(ctx context.Context, pattern string, from uint64, visit func(value) error) error {
	stream, err := streamread.Open(ctx, b.js, b.names.PredictionsStream())
	if err != nil {
		return err
	}
	c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "Hookspan: reads the prediction store",
		FilterSubject:     b.names.PredictionsSubject(pattern),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(from, 1),
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: scanIdle,
	})
	if err != nil {
		return fmt.Errorf("reading the prediction store: %w", err)
	}
	// The server removes a consumer that stays.
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), c.CachedInfo().Name) }()
	prefix := len(b.names.PredictionsSubject(""))
	delivery, silent := uint64(0), 0
	for info := c.CachedInfo(); info.NumPending > 0 && ctx.Err() == nil; {
		batch, err := c.FetchNoWait(scanBlock)
		if err != nil {
			return fmt.Errorf("reading the prediction store: %w", err)
		}
		var stopped error
		silent++
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if delivery++; err == nil && meta.Sequence.Consumer != delivery {
				err = fmt.Errorf("delivery %d is missing", delivery)
			}
			if err != nil {
				return fmt.Errorf("reading the prediction store: %w", err)
			}
			silent = 0
			if stopped == nil {
				stopped = visit(value{key: m.Subject()[prefix:], revision: meta.Sequence.Stream, data: m.Data()})
			}
		}
		switch err := batch.Error(); {
		case errors.Is(stopped, errEnough):
			return nil
		case stopped != nil:
			return stopped
		case err != nil:
			return fmt.Errorf("reading the prediction store: %w", err)
		}
		// A fetch also ends, without an error, when the server is silent for a second: only
		// the server knows whether that was all.
		if info, err = c.Info(ctx); err != nil {
			return fmt.Errorf("reading the prediction store: %w", err)
		}
		if info.Delivered.Consumer != delivery || silent == silentFetches {
			return fmt.Errorf("reading the prediction store: %d of %d deliveries came, %d are missing", delivery, info.Delivered.Consumer, info.NumPending)
		}
	}
	return ctx.Err()
}
