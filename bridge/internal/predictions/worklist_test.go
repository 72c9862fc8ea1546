package predictions

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(id string, seen, due int) item {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	return item{openRecord: openRecord{Source: "get3w", ID: id, FirstSeen: at(seen)}, due: at(due)}
}

func TestOldestOfTheDueComesFirst(t *testing.T) {
	w := newWorklist()
	w.set(open("young", 5, 10))
	w.set(open("old", 1, 20))
	w.set(open("later", 0, 30))
	_, next, ok := w.take(noon)
	require.False(t, ok)
	require.Equal(t, noon.Add(10*time.Second), next)
	now := noon.Add(20 * time.Second)
	open, overdue, oldest := w.counts(now)
	require.Equal(t, []int{3, 2}, []int{open, overdue})
	require.Equal(t, noon.Add(time.Second), oldest)
	it, _, ok := w.take(now)
	require.True(t, ok)
	require.Equal(t, "old", it.ID)
	it, _, _ = w.take(now)
	require.Equal(t, "young", it.ID)
	_, next, ok = w.take(now)
	require.False(t, ok, "nobody is given one twice")
	require.Equal(t, noon.Add(30*time.Second), next)
	_, overdue, _ = w.counts(now)
	require.Equal(t, 2, overdue, "they are with somebody")
	w.give("old", func(it *item) { it.due = now; it.Polls++ })
	it, _, ok = w.take(now)
	require.True(t, ok)
	require.Equal(t, "old", it.ID)
	require.Equal(t, 1, it.Polls)
}

// However many made-up predictions somebody announces, every second question is about one
// that is more than claimed.
func TestClaimsDoNotStarveTheOthers(t *testing.T) {
	w := newWorklist()
	for n := range 1000 {
		it := open(fmt.Sprint("claimed", n), -n, 0)
		it.Claimed = true
		w.set(it)
	}
	w.set(open("a", 5, 0))
	w.set(open("b", 6, 0))
	proved := open("claimed7", 7, 0) // its webhook came
	w.set(proved)
	_, overdue, _ := w.counts(noon)
	require.Equal(t, 1002, overdue)
	var others []string
	for range 6 {
		it, _, ok := w.take(noon)
		require.True(t, ok)
		if !it.Claimed {
			others = append(others, it.ID)
		}
	}
	require.Equal(t, []string{"a", "b", "claimed7"}, others)
	for range 996 {
		_, _, ok := w.take(noon)
		require.True(t, ok, "the claimed ones have their turn too")
	}
	_, _, ok := w.take(noon)
	require.False(t, ok)
}

func TestTakenStaysTakenUntilItIsGiven(t *testing.T) {
	w := newWorklist()
	w.set(open("a", 0, 0))
	_, _, ok := w.take(noon)
	require.True(t, ok)
	again := open("a", 0, 0)
	again.Model = "get3w/flux-dev"
	w.set(again)
	_, _, ok = w.take(noon)
	require.False(t, ok)
	w.give("a", func(*item) {})
	it, _, ok := w.take(noon)
	require.True(t, ok)
	require.Equal(t, "get3w/flux-dev", it.Model, "what became known meanwhile stays")
	w.remove("a")
	w.give("a", func(*item) { t.Fatal("it is not open any more") })
	_, next, ok := w.take(noon)
	require.False(t, ok)
	require.Zero(t, next)
}

// Those that never end do not keep others from their turn.
func TestTurnsAreFair(t *testing.T) {
	w := newWorklist()
	for n, polls := range []int{7, 1, 0, 0} {
		it := open(fmt.Sprint(n), n, n)
		it.Polls = polls
		w.set(it)
	}
	now := noon.Add(time.Minute)
	_, _, oldest := w.counts(now)
	require.Equal(t, noon, oldest)
	for _, id := range []string{"2", "3", "1", "0"} {
		it, _, ok := w.take(now)
		require.True(t, ok)
		require.Equal(t, id, it.ID)
	}
}

func TestSaysWhenOneIsDueSooner(t *testing.T) {
	w := newWorklist()
	told := func() bool {
		select {
		case <-w.sooner:
			return true
		default:
			return false
		}
	}
	w.set(open("a", 0, 10))
	require.True(t, told())
	w.set(open("b", 0, 20))
	require.False(t, told())
	w.set(open("b", 0, 5))
	require.True(t, told())
	at, due := w.next(noon)
	require.False(t, due)
	require.Equal(t, noon.Add(5*time.Second), at)
	it, _, _ := w.take(noon.Add(6 * time.Second))
	w.give(it.ID, func(it *item) { it.due = noon.Add(7 * time.Second) })
	require.True(t, told())
	_, due = w.next(noon.Add(7 * time.Second))
	require.True(t, due)
}

// Whatever is done to it, each prediction is in one place.
func TestWorklistStaysWhole(t *testing.T) {
	w := newWorklist()
	r := rand.New(rand.NewPCG(1, 2))
	taken := map[string]bool{}
	for n := range 20_000 {
		id := fmt.Sprint(r.IntN(50))
		now := noon.Add(time.Duration(n) * time.Millisecond)
		switch r.IntN(4) {
		case 0:
			w.set(open(id, r.IntN(30), r.IntN(30)))
		case 1:
			w.remove(id)
			delete(taken, id)
		case 2:
			if it, _, ok := w.take(now); ok {
				require.False(t, taken[it.ID])
				taken[it.ID] = true
			}
		case 3:
			w.give(id, func(it *item) { it.due = now.Add(time.Second); delete(taken, id) })
		}
		require.Len(t, w.byID, len(w.waiting)+len(w.ready)+len(taken))
	}
}
