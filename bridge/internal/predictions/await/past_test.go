package await_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
)

// A prediction that the view has forgotten is found by its events, with the same state.
func TestFindsByEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	past := await.NewPast(b.js, b.n)
	_, err := past.Find(t.Context(), "get3w", "pred_1")
	require.ErrorIs(t, err, bridge.ErrNotFound)
	b.tellStatuses()
	first := b.tell("pred_1", "processing")
	for i := range 1500 {
		b.tell(fmt.Sprintf("other_%d", i), "completed")
	}
	end := b.tell("pred_1", "completed")
	b.tellStatuses()
	s, err := past.Find(t.Context(), "get3w", "pred_1")
	require.NoError(t, err)
	b.fold(first, end)
	want, err := b.states.Prediction(t.Context(), "get3w", "pred_1")
	require.NoError(t, err)
	for i := range want.Events { // the test's own clock
		want.Events[i].StoredAt = s.Events[i].StoredAt
	}
	want.FirstSeen = s.FirstSeen
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	found, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, string(wanted), string(found))
	require.Zero(t, b.consumers())

	_, err = past.Find(t.Context(), "other", "pred_1")
	require.ErrorIs(t, err, bridge.ErrNotFound)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err = past.Find(ctx, "get3w", "pred_1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
