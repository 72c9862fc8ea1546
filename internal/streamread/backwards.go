package streamread

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// firstStretch is the size of the first stretch from the end on, in sequences; each further
	// one is twice as large, up to longestStretch. The sequences of a stretch's messages are
	// kept in memory.
	firstStretch, longestStretch = 128, 1 << 17
)

// walkBack is [Walk] from the last message of the span to the first. NATS finds messages of a
// subject only forwards. So walkBack goes back in stretches: it reads each one once to learn
// where its messages are, and then reads these again, from the end.
func walkBack(ctx context.Context, stream jetstream.Stream, s Span, visit func(*jetstream.RawStreamMsg) error) error {
	state := stream.CachedInfo().State
	first, end := max(s.After+1, state.FirstSeq), state.LastSeq+1
	if s.Before > 0 {
		end = min(end, s.Before)
	}
	for size := uint64(firstStretch); end > first; size = min(2*size, longestStretch) {
		begin := end - min(size, end-first)
		sequences, err := sequencesIn(ctx, stream, s.Subject, begin, end)
		if err != nil {
			return err
		}
		for _, seq := range slices.Backward(sequences) {
			m, err := Get(ctx, stream, seq)
			if errors.Is(err, bridge.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := visit(m); err != nil {
				return err
			}
		}
		end = begin
	}
	return nil
}

// sequencesIn returns the sequences of the messages of a subject from begin to before end.
func sequencesIn(ctx context.Context, stream jetstream.Stream, subject string, begin, end uint64) ([]uint64, error) {
	var found []uint64
	for seq := begin; seq < end; {
		m, _, err := next(ctx, stream, subject, seq, end-1)
		if err != nil || m == nil || m.Sequence >= end {
			return found, err
		}
		found = append(found, m.Sequence)
		seq = m.Sequence + 1
	}
	return found, nil
}
