package predictions

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// smallestRoom is the least room to make, in bytes: searching costs more than removing a
// little more.
const smallestRoom = 1 << 20

// keyOverhead is about the size of a key beside its name and value, in bytes.
const keyOverhead = 150

// makeRoom removes finished entries, the oldest changes first, until so many bytes are
// free. It starts at the revision from and spares the keys in keep. It returns the removed
// keys and the next revision to start at. The error wraps [bridge.ErrFull] when nothing can
// be removed.
func (b *bucket) makeRoom(ctx context.Context, bytes int, from uint64, keep map[string]bool) (removed []string, next uint64, err error) {
	stream, err := streamread.Open(ctx, b.js, b.names.PredictionsStream())
	if err != nil {
		return nil, from, err
	}
	b.alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmPredictionsFull, Subject: b.names.PredictionsStream(),
		Text: "the prediction store has no room: finished predictions leave it before their time, the oldest first, " +
			"and are found by their events only: give it room with a larger nats.events.max_bytes, of which it has a share, or set predictions.keep shorter",
		Details: map[string]any{"bytes": stream.CachedInfo().State.Bytes, "max_bytes": stream.CachedInfo().Config.MaxBytes},
	})
	type place struct {
		key      string
		revision uint64
	}
	var finished []place
	free := 0
	next = from
	err = b.scan(ctx, bridge.KeyEntry+".>", from, func(v value) error {
		next = v.revision
		if s, err := decodeState(v.data); keep[v.key] || err == nil && s.Open() {
			return nil
		}
		finished = append(finished, place{v.key, v.revision})
		if free += len(v.key) + len(v.data) + keyOverhead; free >= bytes {
			return errEnough
		}
		return nil
	})
	if err != nil {
		return nil, from, err
	}
	for _, p := range finished {
		// A changed entry stays.
		if err := streamread.Remove(ctx, stream, p.revision); err != nil && !errors.Is(err, bridge.ErrNotFound) {
			return removed, from, err
		}
		removed = append(removed, p.key)
	}
	b.log.Warn("removed finished predictions from the prediction store, which is full", zap.Int("predictions", len(removed)))
	if len(removed) == 0 {
		return nil, from, fmt.Errorf("%w: the prediction store holds nothing but predictions that are open", bridge.ErrFull)
	}
	return removed, next, nil
}
