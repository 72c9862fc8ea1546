package erase

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

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
	r, err := streamread.NewReader(ctx, js, streamread.ReaderConfig{
		Stream: name, After: after, HeadersOnly: headersOnly, Description: "Hookspan: looking for what is to be erased",
	})
	if err != nil {
		return after, err
	}
	defer r.Close(ctx)
	err = r.ReadTo(ctx, state.LastSeq, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
		if err := visit(m, meta.Sequence.Stream); err != nil {
			return err
		}
		after = meta.Sequence.Stream
		return nil
	})
	return after, err
}

// secureDelete overwrites a message and removes it. A message that is gone is no error.
func secureDelete(ctx context.Context, stream *streamread.Stream, seq uint64) error {
	err := stream.SecureDeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if _, got := streamread.Get(ctx, stream, seq); errors.Is(got, bridge.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("erasing message %d of %s: %w", seq, stream.CachedInfo().Config.Name, err)
}
