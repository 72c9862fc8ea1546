package poller

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func open(id string, seen, due int) Item {
	at := func(s int) time.Time { return foldtest.Noon.Add(time.Duration(s) * time.Second) }
	return Item{Record: Record{Source: "get3w", ID: id, FirstSeen: at(seen)}, Due: at(due)}
}

func TestOldestOfTheDueComesFirst(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	w.Set(open("young", 5, 10))
	w.Set(open("old", 1, 20))
	w.Set(open("later", 0, 30))
	_, next, ok := w.take(foldtest.Noon)
	require.False(t, ok)
	require.Equal(t, foldtest.Noon.Add(10*time.Second), next)
	now := foldtest.Noon.Add(20 * time.Second)
	open, overdue, oldest := w.Counts(now)
	require.Equal(t, []int{3, 2}, []int{open, overdue})
	require.Equal(t, foldtest.Noon.Add(time.Second), oldest)
	it, _, ok := w.take(now)
	require.True(t, ok)
	require.Equal(t, "old", it.ID)
	it, _, _ = w.take(now)
	require.Equal(t, "young", it.ID)
	_, next, ok = w.take(now)
	require.False(t, ok, "nobody is given one twice")
	require.Equal(t, foldtest.Noon.Add(30*time.Second), next)
	_, overdue, _ = w.Counts(now)
	require.Equal(t, 2, overdue, "they are with somebody")
	w.give("old", func(it *Item) { it.Due = now; it.Polls++ })
	it, _, ok = w.take(now)
	require.True(t, ok)
	require.Equal(t, "old", it.ID)
	require.Equal(t, 1, it.Polls)
}

// However many made-up predictions are announced, every second poll is for one that is more
// than claimed.
func TestClaimsDoNotStarveTheOthers(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	for n := range 1000 {
		it := open(fmt.Sprint("claimed", n), -n, 0)
		it.Claimed = true
		w.Set(it)
	}
	w.Set(open("a", 5, 0))
	w.Set(open("b", 6, 0))
	proved := open("claimed7", 7, 0) // its webhook came
	w.Set(proved)
	_, overdue, _ := w.Counts(foldtest.Noon)
	require.Equal(t, 1002, overdue)
	var others []string
	for range 6 {
		it, _, ok := w.take(foldtest.Noon)
		require.True(t, ok)
		if !it.Claimed {
			others = append(others, it.ID)
		}
	}
	require.Equal(t, []string{"a", "b", "claimed7"}, others)
	for range 996 {
		_, _, ok := w.take(foldtest.Noon)
		require.True(t, ok, "the claimed ones have their turn too")
	}
	_, _, ok := w.take(foldtest.Noon)
	require.False(t, ok)
}

func TestTakenStaysTakenUntilItIsGiven(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	w.Set(open("a", 0, 0))
	_, _, ok := w.take(foldtest.Noon)
	require.True(t, ok)
	again := open("a", 0, 0)
	again.Model = "get3w/flux-dev"
	w.Set(again)
	_, _, ok = w.take(foldtest.Noon)
	require.False(t, ok)
	w.give("a", func(*Item) {})
	it, _, ok := w.take(foldtest.Noon)
	require.True(t, ok)
	require.Equal(t, "get3w/flux-dev", it.Model, "what became known meanwhile stays")
	w.Remove("a")
	w.give("a", func(*Item) { t.Fatal("it is not open any more") })
	_, next, ok := w.take(foldtest.Noon)
	require.False(t, ok)
	require.Zero(t, next)
}

// Predictions that never end do not starve others.
func TestTurnsAreFair(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	for n, polls := range []int{7, 1, 0, 0} {
		it := open(fmt.Sprint(n), n, n)
		it.Polls = polls
		w.Set(it)
	}
	now := foldtest.Noon.Add(time.Minute)
	_, _, oldest := w.Counts(now)
	require.Equal(t, foldtest.Noon, oldest)
	for _, id := range []string{"2", "3", "1", "0"} {
		it, _, ok := w.take(now)
		require.True(t, ok)
		require.Equal(t, id, it.ID)
	}
}

func TestSaysWhenOneIsDueSooner(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	told := func() bool {
		select {
		case <-w.sooner:
			return true
		default:
			return false
		}
	}
	w.Set(open("a", 0, 10))
	require.True(t, told())
	w.Set(open("b", 0, 20))
	require.False(t, told())
	w.Set(open("b", 0, 5))
	require.True(t, told())
	at, due := w.next(foldtest.Noon)
	require.False(t, due)
	require.Equal(t, foldtest.Noon.Add(5*time.Second), at)
	it, _, _ := w.take(foldtest.Noon.Add(6 * time.Second))
	w.give(it.ID, func(it *Item) { it.Due = foldtest.Noon.Add(7 * time.Second) })
	require.True(t, told())
	_, due = w.next(foldtest.Noon.Add(7 * time.Second))
	require.True(t, due)
}

// After any operations each prediction is in one place.
func TestQueueStaysWhole(t *testing.T) {
	t.Parallel()
	w := NewQueue()
	r := rand.New(rand.NewPCG(1, 2))
	taken := map[string]bool{}
	for n := range 20_000 {
		id := fmt.Sprint(r.IntN(50))
		now := foldtest.Noon.Add(time.Duration(n) * time.Millisecond)
		switch r.IntN(4) {
		case 0:
			w.Set(open(id, r.IntN(30), r.IntN(30)))
		case 1:
			w.Remove(id)
			delete(taken, id)
		case 2:
			if it, _, ok := w.take(now); ok {
				require.False(t, taken[it.ID])
				taken[it.ID] = true
			}
		case 3:
			w.give(id, func(it *Item) { it.Due = now.Add(time.Second); delete(taken, id) })
		}
		require.Len(t, w.byID, len(w.waiting)+len(w.ready)+len(taken))
	}
}
