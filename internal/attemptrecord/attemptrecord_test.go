package attemptrecord

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	var r Record
	for range 100 {
		r = r.With("e", bridge.FailedAttempt{Error: strings.Repeat("é", 500), Note: strings.Repeat("x", 16<<10)})
	}
	require.Equal(t, 100, r.Failures)
	require.Len(t, r.Attempts, MaxAttempts)
	require.Len(t, r.Attempts[MaxAttempts-1].Note, 16<<10)
	require.Len(t, r.Attempts[0].Note, MaxNote)
	require.Len(t, r.Attempts[MaxAttempts-2].Note, MaxNote)
}

func TestUnsettledDeliveries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r             Record
		seq, delivery uint64
		want          int
	}{
		{Record{}, 7, 1, 0},
		{Record{}, 7, 2, 1},
		{Record{}, 7, 5, 4},
		{Record{Seq: 7, Delivery: 1}, 7, 2, 0},
		{Record{Seq: 7, Delivery: 3}, 7, 5, 1},
		{Record{Seq: 7, Delivery: 3}, 7, 1, 0}, // a remade durable counts anew
		{Record{Seq: 6, Delivery: 3}, 7, 3, 2}, // of another copy
	} {
		require.Equal(t, c.want, c.r.Unsettled(c.seq, c.delivery), c)
	}
}
