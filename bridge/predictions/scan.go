package predictions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge/stored"
)

const (
	// scanBlock is how many keys are read at once.
	scanBlock = 1000
	// scanIdle is after how long the server forgets a scan that has ended.
	scanIdle = 10 * time.Second
)

// value is that of a key.
type value struct {
	key      string
	revision uint64
	data     []byte
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// scan visits the keys that match the pattern, from a revision on, in the order in
// which they were changed last. It is made for many of them. It returns the error of
// visit, but errEnough.
func (b *bucket) scan(ctx context.Context, pattern string, from uint64, visit func(value) error) error {
	stream, err := stored.Open(ctx, b.js, b.names.PredictionsStream())
	if err != nil {
		return err
	}
	c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "Hookspan: reads the ledger of predictions",
		FilterSubject:     b.names.PredictionsSubject(pattern),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(from, 1),
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: scanIdle,
	})
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	// One that stays goes by itself.
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), c.CachedInfo().Name) }()
	prefix := len(b.names.PredictionsSubject(""))
	delivery := uint64(0)
	for more := c.CachedInfo().NumPending > 0; more && ctx.Err() == nil; {
		batch, err := c.FetchNoWait(scanBlock)
		if err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		more = false
		var stopped error
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if delivery++; err == nil && meta.Sequence.Consumer != delivery {
				err = fmt.Errorf("delivery %d is missing", delivery)
			}
			if err != nil {
				return fmt.Errorf("reading the ledger: %w", err)
			}
			more = true
			if stopped == nil {
				stopped = visit(value{key: m.Subject()[prefix:], revision: meta.Sequence.Stream, data: m.Data()})
			}
		}
		switch err := batch.Error(); {
		case errors.Is(stopped, errEnough):
			return nil
		case stopped != nil:
			return stopped
		case err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages):
			return fmt.Errorf("reading the ledger: %w", err)
		}
	}
	return ctx.Err()
}
