package view

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// letter is a dead letter as it is decoded.
func letter(seq int, consumer string, cause bridge.DeadCause, problem string, stored time.Time) message {
	return message{seq: uint64(seq), stored: stored, row: &DeadLetter{ //nolint:gosec // positive
		Sequence: uint64(seq), Consumer: consumer, Cause: cause, Error: problem, Source: "get3w", Prediction: fmt.Sprint("p", seq), Stored: stored, //nolint:gosec // positive
	}}
}

// Whatever dead letters come and go, and however they are cut into blocks, the groups are those
// of what is left.
func TestDeadGroupsCountWhatIsLeft(t *testing.T) {
	t.Parallel()
	seed := cmp.Or(*seedFlag, rand.Uint64()) //nolint:gosec // it is shown, to be repeated
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // repeatable
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	dead := v.streams[1]
	left := map[int]*DeadLetter{}
	seq, at := 0, foldtest.Noon
	for range 60 {
		var b block
		for range random.IntN(30) {
			seq++
			at = at.Add(time.Duration(random.Int64N(int64(3 * time.Hour))))
			m := letter(seq, fmt.Sprint("c", random.IntN(3)), []bridge.DeadCause{bridge.DeadRefused, bridge.DeadExhausted}[random.IntN(2)], fmt.Sprintf("status %d of %q", random.IntN(600), fmt.Sprint(seq)), at)
			b.msgs, left[seq] = append(b.msgs, m), m.row.(*DeadLetter)
		}
		require.NoError(t, v.write(func(c *conn) error { _, err := foldDead(c, dead, b); return err }))
		var gone []uint64
		for n := range left {
			if random.IntN(4) == 0 {
				gone = append(gone, uint64(n)) //nolint:gosec // positive
				delete(left, n)
			}
		}
		first := max(0, seq-100)
		for n := range left {
			if n < first {
				delete(left, n)
			}
		}
		require.NoError(t, dead.remove(uint64(first), gone)) //nolint:gosec // positive
	}
	want := map[string]DeadGroup{}
	for _, n := range slices.Sorted(func(yield func(int) bool) {
		for n := range left {
			if !yield(n) {
				return
			}
		}
	}) {
		d := left[n]
		require.Equal(t, DeadGroupID(d.Consumer, d.Cause, d.Error), d.Group)
		g, known := want[d.Group]
		if !known {
			g = DeadGroup{ID: d.Group, Consumer: d.Consumer, Cause: d.Cause, Error: "status # of #", First: d.Stored}
		}
		g.N, g.Last, g.Sample = g.N+1, d.Stored, d.Sequence
		want[d.Group] = g
	}
	var got []DeadGroup
	for q := (GroupQuery{Limit: 2}); ; {
		page, next, err := v.DeadGroups(t.Context(), q)
		require.NoError(t, err)
		got = append(got, page...)
		if q.Cursor = next; next == "" {
			break
		}
	}
	require.Len(t, got, len(want))
	require.True(t, slices.IsSortedFunc(got, func(a, b DeadGroup) int { return cmp.Compare(b.Sample, a.Sample) }))
	for _, g := range got {
		start, step, counts := g.Histogram.Points()
		sum := int64(0)
		for _, n := range counts {
			require.GreaterOrEqual(t, n, int64(0))
			sum += n
		}
		require.Equal(t, g.N, sum)
		require.False(t, start.After(g.First))
		require.True(t, g.Last.Before(start.Add(histogramPoints*step)))
		g.Histogram = Histogram{}
		require.Equal(t, want[g.ID], g)

		members, _, err := v.DeadLetters(t.Context(), DeadQuery{Group: g.ID, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, members, int(g.N))
		for _, d := range members {
			require.Equal(t, g.ID, d.Group)
		}
	}
	one, _, err := v.DeadGroups(t.Context(), GroupQuery{Consumer: "c1", Cause: bridge.DeadRefused})
	require.NoError(t, err)
	require.Len(t, one, 1)
	none, _, err := v.DeadLetters(t.Context(), DeadQuery{Group: "no such group"})
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, v.write(dead.clear))
	got, _, err = v.DeadGroups(t.Context(), GroupQuery{})
	require.NoError(t, err)
	require.Empty(t, got)
}

func FuzzHistogram(f *testing.F) {
	f.Add(int64(0), int64(1), int64(1<<40), int64(-62135596800))
	f.Add(int64(1), int64(20), int64(21), int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c, d int64) {
		var h Histogram
		var all []time.Time
		for _, s := range []int64{a, b, c, d, a} {
			all = append(all, time.Unix(s%(1<<40), 0))
			h.add(all[len(all)-1])
		}
		back, err := decodeHistogram(h.encode())
		require.NoError(t, err)
		require.Equal(t, h, back)
		start, step, counts := h.Points()
		require.EqualValues(t, 5, counts[0]+sumOf(counts[1:]))
		for _, at := range all {
			require.False(t, at.Before(start))
			require.Less(t, (at.Unix()-start.Unix())/int64(step/time.Second), int64(histogramPoints))
			h.remove(at)
		}
		require.Zero(t, sumOf(h.counts[:]))
	})
}

func sumOf(counts []int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func FuzzDecodeHistogram(f *testing.F) {
	f.Add([]byte{})
	f.Add((&Histogram{start: 5, step: 2}).encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, err := decodeHistogram(raw); err == nil && len(raw) > 0 {
			require.Positive(t, h.step)
		}
	})
}

// The subject says whose a dead letter is, and what cannot be read is listed too.
func TestForeignDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	fine := says(t, "a", finished)
	claimed := bridge.DeadLetter{Consumer: "other", Cause: bridge.DeadRefused, Error: strings.Repeat("<b>\x1b[31m\u202e\x00", 1<<16), Subject: r.Names.SubjectOf(fine)}
	for _, m := range []*nats.Msg{
		{Subject: r.Names.Dead("team", r.Names.SubjectOf(fine)), Header: nats.Header(claimed.Header(fine.Header())), Data: fine.Body},
		{Subject: r.Names.Dead("team", r.Names.SubjectOf(fine)), Data: []byte("not one")},
	} {
		_, err := r.JS.PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	x.folded()
	page, _, err := x.DeadLetters(t.Context(), DeadQuery{Consumer: "team"})
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, bridge.DeadUndecodable, page[0].Cause)
	require.NotEmpty(t, page[0].Problem)
	require.Equal(t, "a", page[1].Prediction)
	require.LessOrEqual(t, len(page[1].Error), maxText)
	groups, _, err := x.DeadGroups(t.Context(), GroupQuery{})
	require.NoError(t, err)
	require.Len(t, groups, 2)
	require.True(t, strings.HasPrefix(groups[1].Error, "<b> [# <b>"), groups[1].Error)
	byPrediction, _, err := x.DeadLetters(t.Context(), DeadQuery{Prediction: "a"})
	require.NoError(t, err)
	require.Len(t, byPrediction, 1)
}
