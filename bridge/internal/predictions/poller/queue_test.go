package poller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// dueAt adds a prediction of the source get3w, seen and due so many seconds after noon.
func (d *memoryLeadership) dueAt(id string, seen, due int, change ...func(*Record)) {
	at := func(s int) time.Time { return foldtest.Noon.Add(time.Duration(s) * time.Second) }
	rec := Record{Source: "get3w", ID: id, FirstSeen: at(seen)}
	for _, c := range change {
		c(&rec)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open["get3w/"+id] = &memoryRecord{Record: rec, due: at(due)}
}

// next takes the next due prediction, or returns when there will be one.
func (q *queue) next(t *testing.T, now time.Time) (id string, next time.Time) {
	t.Helper()
	due, next, err := q.look(t.Context(), now)
	require.NoError(t, err)
	if due {
		id, due = q.take()
		require.True(t, due)
	}
	return id, next
}

func TestOldestOfTheDueComesFirst(t *testing.T) {
	t.Parallel()
	d := newMemoryLeadership()
	q := newQueue(d, "get3w")
	d.dueAt("young", 5, 10)
	d.dueAt("old", 1, 20)
	d.dueAt("later", 0, 30)
	_, next := q.next(t, foldtest.Noon)
	require.Equal(t, foldtest.Noon.Add(10*time.Second), next)
	now := foldtest.Noon.Add(20 * time.Second)
	id, _ := q.next(t, now)
	require.Equal(t, "old", id)
	id, _ = q.next(t, now)
	require.Equal(t, "young", id)
	id, next = q.next(t, now)
	require.Empty(t, id, "nobody is given one twice")
	require.Equal(t, now.Add(lookAgain), next)
	require.NoError(t, q.give(t.Context(), "old", now, 1))
	<-q.given
	id, _ = q.next(t, now)
	require.Equal(t, "old", id)
	q.drop("young")
	id, _ = q.next(t, now)
	require.Equal(t, "young", id)
}

// However many made-up predictions are announced, every second poll is for one that is more
// than claimed.
func TestClaimsDoNotStarveTheOthers(t *testing.T) {
	t.Parallel()
	d := newMemoryLeadership()
	q := newQueue(d, "get3w")
	for n := range 1000 {
		d.dueAt(fmt.Sprint("claimed", n), -n, 0, func(r *Record) { r.Claimed = true })
	}
	d.dueAt("a", 5, 0)
	d.dueAt("b", 6, 0)
	d.dueAt("claimed7", 7, 0) // its webhook came
	var others []string
	for range 6 {
		id, _ := q.next(t, foldtest.Noon)
		if rec, _, err := d.Load(t.Context(), "get3w", id); err == nil && !rec.Claimed {
			others = append(others, id)
		}
	}
	require.Equal(t, []string{"a", "b", "claimed7"}, others)
	for range 996 {
		id, _ := q.next(t, foldtest.Noon)
		require.NotEmpty(t, id, "the claimed ones have their turn too")
	}
	id, _ := q.next(t, foldtest.Noon)
	require.Empty(t, id)
}

// Predictions that never end do not starve others, beyond the life of a window.
func TestTurnsAreFair(t *testing.T) {
	t.Parallel()
	d := newMemoryLeadership()
	q := newQueue(d, "get3w")
	for n, polls := range []int{7, 1, 0, 0} {
		d.dueAt(fmt.Sprint(n), n, n, func(r *Record) { r.Polls = polls })
	}
	now := foldtest.Noon.Add(time.Minute)
	for _, want := range []string{"2", "3"} {
		id, _ := q.next(t, now)
		require.Equal(t, want, id)
	}
	d.dueAt("new", 50, 50)
	for _, want := range []string{"new", "1", "0"} {
		id, _ := q.next(t, now.Add(windowAge))
		require.Equal(t, want, id)
	}
}

// failing is a leader whose view takes nothing.
type failing struct{ Leadership }

func (failing) PutOff(context.Context, string, string, time.Time, int) error {
	return errors.New("the disk is full")
}

// When a poll was made and the view does not take that, the prediction is not polled again at
// once.
func TestWhatTheViewDoesNotTakeIsPutOffAllTheSame(t *testing.T) {
	t.Parallel()
	d := newMemoryLeadership()
	d.dueAt("a", 0, 0)
	q := newQueue(failing{d}, "get3w")
	id, _ := q.next(t, foldtest.Noon)
	require.Equal(t, "a", id)
	later := foldtest.Noon.Add(time.Minute)
	require.Error(t, q.give(t.Context(), "a", later, 1))
	id, next := q.next(t, foldtest.Noon)
	require.Empty(t, id)
	require.False(t, next.After(later))
	id, _ = q.next(t, later)
	require.Equal(t, "a", id)
}
