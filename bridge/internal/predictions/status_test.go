package predictions

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Events can name any source: a status lists the configured ones, and some others.
func TestStatusOfManySources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := NewLeader(r.JS, r.store, Config{Names: r.Names, Sources: map[string]poller.SourceConfig{"get3w": {Source: r.source}, "idle": {}}})
	led := newLeadership(l)
	led.last.Store(&place{})
	for n := range 10 * adminapi.MaxStatusSources {
		name := fmt.Sprint("forged-", n)
		led.queue(name).Set(poller.Item{Record: poller.Record{Source: name, ID: "a"}, Due: foldtest.Noon})
	}
	led.queue("over") // its last one has ended
	led.queue("get3w").Set(poller.Item{Record: poller.Record{Source: "get3w", ID: "a"}, Due: foldtest.Noon.Add(time.Hour)})
	s, err := led.status(t.Context(), foldtest.Noon)
	require.NoError(t, err)
	require.Len(t, s.Sources, 2+adminapi.MaxStatusSources)
	require.NotContains(t, s.Sources, "over")
	require.Equal(t, 1, s.Sources["get3w"].Open)
	require.Zero(t, s.Sources["get3w"].Overdue)
	require.Contains(t, s.Sources, "idle")
}

// A leadership ends when the stream goes back, as after a restart with damaged files, and
// when the durable was removed.
func TestLookAroundEndsALeadership(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(r.says("a", running))
	l := NewLeader(r.JS, r.store, Config{Names: r.Names, Keep: time.Hour, Alarms: r.heard})
	l.lease = &lease{bucket: l.bucket, times: leaseTimes{hold: time.Hour}}
	require.NoError(t, l.lease.acquire(t.Context()))
	led := newLeadership(l)
	c, err := led.begin(t.Context())
	require.NoError(t, err)
	var told adminapi.PredictionsStatus
	led.last.Store(&place{sequence: 1})
	require.NoError(t, led.lookAround(t.Context(), c, &told))
	require.EqualValues(t, 1, told.Folded)
	require.EqualValues(t, 1, led.behind.Load())
	led.last.Store(&place{sequence: 2})
	require.ErrorIs(t, led.lookAround(t.Context(), c, &told), errEventsLost)
	led.last.Store(&place{sequence: 1})
	require.NoError(t, r.JS.DeleteConsumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer))
	require.ErrorContains(t, led.lookAround(t.Context(), c, &told), "was removed")
}

// A status does not say who leads: the lease holder overwrites a status whose answer was
// lost, and a former leader's. A process without the lease ends its leadership.
func TestStatusThatSomebodyWrote(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &forgetful{inner: inner{r.store}}
	l := NewLeader(r.JS, store, Config{Names: r.Names, Process: "mine", Keep: time.Hour, Alarms: r.heard})
	l.times = leaseTimes{renew: patience, stuck: time.Hour}
	l.lease = &lease{bucket: l.bucket, times: leaseTimes{hold: time.Hour}}
	require.NoError(t, l.lease.acquire(t.Context()))
	led := newLeadership(l)
	c, err := led.begin(t.Context())
	require.NoError(t, err)
	var told adminapi.PredictionsStatus
	n := uint64(0)
	tell := func() error { // something new each time
		n++
		led.last.Store(&place{sequence: n})
		r.publish(r.says(fmt.Sprint(n), running))
		return led.lookAround(t.Context(), c, &told)
	}
	status := func() adminapi.PredictionsStatus {
		s, err := r.reader.Status(t.Context())
		require.NoError(t, err)
		return *s
	}
	for lost := range 3 {
		store.lost = true
		for range lost {
			require.NoError(t, tell(), "nobody knows that it is written")
		}
		store.lost = false
		require.NoError(t, tell(), "the revision is found")
		require.NoError(t, tell())
		require.Equal(t, n, status().Folded)
	}
	_, err = r.JS.Publish(t.Context(), r.Names.PredictionsSubject(keyStatus), []byte(`{"leader":"before"}`))
	require.NoError(t, err)
	require.NoError(t, tell(), "who led before has written once more")
	require.Equal(t, "before", status().Leader)
	require.NoError(t, tell())
	require.Equal(t, "mine", status().Leader)

	other := &lease{bucket: l.bucket, times: leaseTimes{hold: time.Hour}, seen: l.lease.revision}
	require.NoError(t, other.acquire(t.Context()))
	_, err = r.JS.Publish(t.Context(), r.Names.PredictionsSubject(keyStatus), []byte(`{"leader":"other"}`))
	require.NoError(t, err)
	require.ErrorIs(t, tell(), poller.ErrNotLeader)
	require.Equal(t, "other", status().Leader)
}
