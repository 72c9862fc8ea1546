package predictions

import (
	"context"
	"encoding/json"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

const (
	// warmEntries is from how many finished predictions a new leader learns durations. It
	// looks for them among the last warmSpan changes.
	warmEntries = 5000
	warmSpan    = 4 * warmEntries
)

// warmUp tells the poller of the latest finished predictions.
func (s *store) warmUp(ctx context.Context) error {
	stream, err := s.leader.js.Stream(ctx, s.names.PredictionsStream())
	if err != nil {
		return err
	}
	from, seen := uint64(1), 0
	if last := stream.CachedInfo().State.LastSeq; last > warmSpan {
		from = last - warmSpan
	}
	return s.leader.bucket.scan(ctx, bridge.KeyEntry+".>", from, func(v value) error {
		if seen++; seen > warmEntries {
			return errEnough
		}
		if state, err := decodeState(v.data); err == nil && state.Terminal() {
			s.leader.poller.Ended(state, nil, false)
		}
		return nil
	})
}

// loadOpen fills the queues and returns the number of open predictions.
func (s *store) loadOpen(ctx context.Context) (int, error) {
	n := 0
	err := s.leader.bucket.scan(ctx, bridge.KeyOpen+".>", 1, func(v value) error {
		var rec poller.Record
		if len(v.data) == 0 { // the prediction has ended and its record is being removed
			s.addTombstone(v.key)
			return nil
		}
		err := json.Unmarshal(v.data, &rec)
		if err != nil || v.key != bridge.PredictionKey(bridge.KeyOpen, rec.Source, rec.ID) {
			s.leader.log.Error("an open prediction cannot be read, and is left alone until one of its events comes", zap.String("key", v.key), zap.Error(err))
			s.addTombstone(v.key)
			return nil
		}
		n++
		s.queue(rec.Source).Set(poller.Item{Record: rec, Revision: v.revision, Due: s.leader.poller.Due(rec)})
		return nil
	})
	return n, err
}
