package predictions

import (
	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// recordOf returns the record of a prediction, with the polls of have unless those are from
// before the prediction became known, or was brought back.
func recordOf(s *bridge.PredictionState, have poller.Record) poller.Record {
	rec := have
	if !have.FirstSeen.Equal(s.FirstSeen) || have.Again != s.Again {
		rec = poller.Record{FirstSeen: s.FirstSeen, Again: s.Again}
	}
	rec.Source, rec.ID, rec.Model, rec.ExpectedBy = s.Source, s.ID, s.Model, s.ExpectedBy
	if s.Announced != nil {
		rec.Estimate = s.Announced.EstimatedDuration
	}
	rec.Claimed = len(s.Events) > 0
	rec.Sequence = s.Again // the copy says how often it was redriven
	for i, ref := range s.Events {
		rec.Claimed = rec.Claimed && ref.Origin == bridge.OriginClaim
		if i == 0 || ref.Kind == bridge.KindWatch {
			rec.Sequence = max(rec.Sequence, ref.Sequence)
		}
	}
	return rec
}
