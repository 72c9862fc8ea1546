package erase

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// readAhead is how many messages are on their way to a scan, readAheadBytes their bytes.
const readAhead, readAheadBytes = 2000, 16 << 20

// scan calls visit for every message of a stream behind a sequence, until it returns an error.
// It returns how far it came. Messages that arrive during the scan may be left out.
func scan(ctx context.Context, js jetstream.JetStream, name string, after uint64, headersOnly bool, visit func(m jetstream.Msg, seq uint64) error) (uint64, error) {
	stream, err := streamread.Open(ctx, js, name)
	if err != nil {
		return after, err
	}
	state := stream.CachedInfo().State
	if after > state.LastSeq { // of an earlier stream of that name
		after = 0
	}
	if state.Msgs == 0 || after == state.LastSeq {
		return after, nil
	}
	c, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
		HeadersOnly: headersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
	})
	if err != nil {
		return after, fmt.Errorf("reading %s: %w", name, err)
	}
	if c.CachedInfo().NumPending == 0 {
		return after, nil
	}
	var limit jetstream.PullMessagesOpt = jetstream.PullMaxMessages(readAhead)
	if !headersOnly {
		limit = jetstream.PullMaxBytes(readAheadBytes)
	}
	messages, err := c.Messages(limit)
	if err != nil {
		return after, fmt.Errorf("reading %s: %w", name, err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return after, fmt.Errorf("reading %s: %w", name, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return after, fmt.Errorf("reading %s: %w", name, err)
		}
		if err := visit(m, meta.Sequence.Stream); err != nil {
			return after, err
		}
		after = meta.Sequence.Stream
		if meta.NumPending == 0 || after >= state.LastSeq {
			return after, nil
		}
	}
}

// secureDelete overwrites a message and removes it. A message that is gone is no error.
func secureDelete(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	err := stream.SecureDeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if _, got := streamread.Get(ctx, stream, seq); errors.Is(got, bridge.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("erasing message %d of %s: %w", seq, stream.CachedInfo().Config.Name, err)
}
