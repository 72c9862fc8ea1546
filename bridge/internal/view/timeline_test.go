package view

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// A page of a timeline ends with thousands of attempts, and the next one goes on.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	var msgs []message
	for seq := uint64(1); seq <= 3; seq++ {
		e := says(t, "a", fmt.Sprintf(`"status":"processing","step":%d`, seq))
		m := message{seq: seq, stored: foldtest.Noon, event: e}
		m.at.Sequence, m.at.StoredAt = seq, foldtest.Noon
		msgs = append(msgs, m)
	}
	foldDirectly(t, v, msgs)
	var heard []told
	for i := range maxLanes {
		for n := range laneAttempts {
			a := bridge.Attempt{Event: msgs[1].event.ID, Sequence: 2, At: foldtest.Noon.Add(time.Duration(n)), Try: n + 1, Verdict: bridge.VerdictRetry, Error: "no"}
			heard = append(heard, told{fmt.Sprint("c", i), a})
		}
	}
	require.NoError(t, v.foldAttempts(t.Context(), heard))
	var pages [][]uint64
	for cursor := ""; ; {
		line, err := v.Timeline(t.Context(), "get3w", "a", cursor)
		require.NoError(t, err)
		var page []uint64
		for _, e := range line.Events {
			page = append(page, e.Sequence)
		}
		pages = append(pages, page)
		if cursor = line.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, [][]uint64{{3, 2}, {1}}, pages)
}
