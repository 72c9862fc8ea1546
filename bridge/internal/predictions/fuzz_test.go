package predictions

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// Whatever lies in the bucket of polls, a poll counts for the prediction that it was made of.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"created":"2026-01-31T12:00:00Z","state":{"source":"get3w","id":"a","first_seen":"2026-01-31T12:00:00Z","again":7,"events":[{"seq":1}]}}`),
		[]byte(`{"first_seen":"2026-01-31T12:00:00Z","again":7,"polls":3,"given_up":"2026-01-31T12:00:00Z"}`))
	f.Add([]byte(`{"state":{"announced":null,"events":null}}`), []byte(`{"polls":-1,"not_before":"0001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, kept, record []byte) {
		var s keptState
		var have poller.Record
		if json.Unmarshal(kept, &s) != nil || s.State == nil || json.Unmarshal(record, &have) != nil {
			return
		}
		rec := recordOf(s.State, have)
		require.Equal(t, s.State.ID, rec.ID)
		require.True(t, rec.FirstSeen.Equal(s.State.FirstSeen))
		require.Equal(t, s.State.Again, rec.Again)
		if !have.FirstSeen.Equal(s.State.FirstSeen) || have.Again != s.State.Again {
			require.Zero(t, rec.Polls)
		}
		l := &Leader{poller: poller.New(poller.Config{}, nil, nil, nil)}
		l.Due(s.State)
	})
}
