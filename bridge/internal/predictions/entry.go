package predictions

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// entry is the state of a prediction in the leader's memory.
type entry struct {
	key   string
	state bridge.PredictionState
	// revision is that of the ledger, 0 when it has none.
	revision uint64
	// fading: its time is over, and the server may have removed it or not.
	fading bool
}

func encodeState(s *bridge.PredictionState) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing an entry of the ledger: %w", err)
	}
	return raw, nil
}

func encodeRecord(rec openRecord) ([]byte, error) {
	raw, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("writing an open prediction: %w", err)
	}
	return raw, nil
}

// closedAt is when a prediction that is not open was closed: when the event that did
// it was stored.
func closedAt(s *bridge.PredictionState) time.Time {
	at := s.ReceivedAt
	if s.Lost != nil {
		at = s.Lost.LostAt
	}
	for _, ref := range s.Events {
		if s.Lost != nil && ref.Kind == bridge.KindLost {
			at = ref.StoredAt // the last one
		}
		if s.Terminal() && bridge.Terminal(ref.Status) && !ref.Conflict {
			return ref.StoredAt // the first one
		}
	}
	return at
}

// left returns for how long the ledger keeps the entry from now on; it is for ever as
// long as the prediction is open.
func left(s *bridge.PredictionState, keep time.Duration, now time.Time) (ttl time.Duration, forever bool) {
	if s.Open() {
		return 0, true
	}
	return closedAt(s).Add(keep).Sub(now), false
}

// outlived reports whether what is known of a prediction was to be forgotten before an
// event of it was stored. What the ledger says then does not depend on when it was
// folded.
func outlived(s *bridge.PredictionState, keep time.Duration, at At) bool {
	return s.ID != "" && !s.Open() && at.Sequence > s.Sequence && at.StoredAt.After(closedAt(s).Add(keep))
}

// recordOf is what the ledger keeps of an open prediction beside its state. What it
// has of questions to the provider is that of have.
func recordOf(s *bridge.PredictionState, have openRecord) openRecord {
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

// sameRecord reports whether two records of a prediction say the same of its state.
func sameRecord(a, b openRecord) bool {
	return a.Model == b.Model && a.FirstSeen.Equal(b.FirstSeen) && a.ExpectedBy.Equal(b.ExpectedBy) &&
		a.Estimate == b.Estimate && a.Claimed == b.Claimed && a.Sequence == b.Sequence
}
