package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

type entry struct {
	key   string
	state bridge.PredictionState
	// revision is the entry's in the prediction store, 0 when the store has none.
	revision uint64
	// fading: the entry has expired, and the server may have removed it.
	fading bool
}

func encodeState(s *bridge.PredictionState) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing an entry of the prediction store: %w", err)
	}
	return raw, nil
}

func encodeRecord(rec poller.Record) ([]byte, error) {
	raw, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("writing an open prediction: %w", err)
	}
	return raw, nil
}

// closedAt is when the event was stored that closed a prediction.
func closedAt(s *bridge.PredictionState) time.Time {
	at := s.ReceivedAt
	if s.Lost != nil {
		at = s.Lost.LostAt
	}
	for _, ref := range s.Events {
		if s.Lost != nil && ref.Kind == bridge.KindLost {
			at = ref.StoredAt // the last event
		}
		if s.Terminal() && bridge.Terminal(ref.Status) && !ref.Conflict {
			return ref.StoredAt // the first event
		}
	}
	return at
}

// left returns how long the prediction store keeps the entry from now on: for ever while
// the prediction is open.
func left(s *bridge.PredictionState, keep time.Duration, now time.Time) (ttl time.Duration, forever bool) {
	if s.Open() {
		return 0, true
	}
	return closedAt(s).Add(keep).Sub(now), false
}

// outlived reports whether the state had expired before an event of it was stored. So the
// result does not depend on when the event is folded.
func outlived(s *bridge.PredictionState, keep time.Duration, at fold.At) bool {
	return s.ID != "" && !s.Open() && at.Sequence > s.Sequence && at.StoredAt.After(closedAt(s).Add(keep))
}

// recordOf returns the record of an open prediction, with the polls of have.
func recordOf(s *bridge.PredictionState, have poller.Record) poller.Record {
	rec := have
	rec.Source, rec.ID, rec.Model, rec.FirstSeen, rec.ExpectedBy = s.Source, s.ID, s.Model, s.FirstSeen, s.ExpectedBy
	rec.Estimate, rec.Claimed = 0, len(s.Events) > 0
	if s.Announced != nil {
		rec.Estimate = s.Announced.EstimatedDuration
	}
	if rec.Sequence == 0 && len(s.Events) > 0 {
		rec.Sequence = s.Events[0].Sequence
	}
	for _, ref := range s.Events {
		rec.Claimed = rec.Claimed && ref.Origin == bridge.OriginClaim
		if ref.Kind == bridge.KindWatch {
			rec.Sequence = max(rec.Sequence, ref.Sequence)
		}
	}
	return rec
}

// sameRecord reports whether two records agree on the prediction's state.
func sameRecord(a, b poller.Record) bool {
	return a.Model == b.Model && a.FirstSeen.Equal(b.FirstSeen) && a.ExpectedBy.Equal(b.ExpectedBy) &&
		a.Estimate == b.Estimate && a.Claimed == b.Claimed && a.Sequence == b.Sequence
}

// readers bounds the concurrent reads of entries.
const readers = 64

// fetch loads the entries of the events. Entries that are being written are in memory
// already.
func (s *store) fetch(ctx context.Context, reads []read) error {
	seen := make(map[string]bool, len(reads))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, r := range reads {
		if _, known := s.entries.Get(r.key); known || seen[r.key] {
			continue
		}
		seen[r.key] = true
		group.Go(func() error {
			_, err := s.entry(ctx, r.key)
			return err
		})
	}
	return group.Wait()
}

// entry returns the entry of a key, from memory if possible.
func (s *store) entry(ctx context.Context, key string) (*entry, error) {
	if e, ok := s.entries.Get(key); ok {
		return e, nil
	}
	e := &entry{key: key}
	raw, revision, err := s.leader.bucket.get(ctx, key)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("reading an entry of the prediction store: %w", err)
	default:
		state, err := decodeState(raw)
		if err != nil {
			s.leader.log.Error("an entry of the prediction store cannot be read, and is written anew from what comes", zap.String("key", key), zap.Error(err))
			state = &bridge.PredictionState{}
		}
		e.state, e.revision = *state, revision
	}
	s.entries.Add(key, e)
	return e, nil
}
