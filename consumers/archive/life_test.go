package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const week = 7 * 24 * time.Hour

func weekly(c *Config) {
	c.Life = func(source string) time.Duration {
		if source == "get3w" {
			return week
		}
		return 0
	}
}

// aged is an event whose outputs still have that long.
func aged(id string, left time.Duration, outputs ...any) *bridge.Event {
	ev := newEvent(id, outputs...)
	ev.Time = time.Now().Add(left - week)
	return ev
}

func TestRetriesAreSpacedToTheLife(t *testing.T) {
	t.Parallel()
	b := setup(t, weekly)
	for left, want := range map[time.Duration]time.Duration{
		week: week / 10, 10 * time.Hour: time.Hour, 100 * time.Second: 10 * time.Second, time.Second: minRetry, -time.Second: minRetry, -10 * time.Hour: time.Hour,
	} {
		got := b.lives.failed(aged("p", left), 1, errors.New("why"))
		require.InDelta(t, want.Seconds(), got.Seconds(), 5)
	}
	other := newEvent("p")
	other.Source = "unknown"
	require.Zero(t, b.lives.failed(other, 1, errors.New("why")))

	err := errors.New("why")
	require.Equal(t, err, again(err, 0, 0))
	require.Equal(t, consumers.RetryAfter(err, time.Minute), again(err, time.Minute, 0))
	require.Equal(t, consumers.RetryAfter(err, time.Minute), again(err, time.Minute, time.Hour))
	require.Equal(t, consumers.RetryAfter(err, time.Minute), again(err, time.Hour, time.Minute), "a host that is left alone for longer deletes it meanwhile")
	require.Equal(t, consumers.RetryWithin(err, time.Hour), again(err, 0, time.Hour))
}

func TestUnarchivedOutputsAreKnown(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusInternalServerError)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(int(status.Load()))
		}
	})
	b := setup(t, weekly)
	gauges := make([]prometheus.Collector, 2)
	copy(gauges, b.Collectors())
	outputs := func() float64 { return testutil.ToFloat64(gauges[0]) }
	left := func() float64 { return testutil.ToFloat64(gauges[1]) }
	require.Zero(t, outputs())
	require.True(t, math.IsInf(left(), 1))

	early, late := aged("early", 100*time.Hour, srv.URL+"/b", srv.URL+"/b"), aged("late", 10*time.Hour, srv.URL+"/a", srv.URL+"/b")
	for range 2 {
		require.Error(t, b.handle(early))
		require.Error(t, b.handle(late))
	}
	require.Equal(t, 3, int(outputs()))
	require.InDelta(t, (10 * time.Hour).Seconds(), left(), 60)
	status.Store(http.StatusOK)
	require.NoError(t, b.handle(late))
	require.Equal(t, 2, int(outputs()))
	require.InDelta(t, (100 * time.Hour).Seconds(), left(), 60)
	status.Store(http.StatusGone)
	require.True(t, consumers.IsPermanent(b.handle(early)))
	require.Zero(t, outputs())

	// One whose time is over is known no longer.
	b.lives.failed(aged("over", -time.Second), 1, errors.New("why"))
	require.Zero(t, outputs())
	for i := range maxUnarchived + 1 {
		b.lives.failed(aged(fmt.Sprint(i), time.Hour), 1, errors.New("why"))
	}
	require.Equal(t, maxUnarchived, int(outputs()))
}

func TestAlarmAtAQuarterOfTheLife(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	b := setup(t, weekly)
	require.Error(t, b.handle(aged("p", week/4+time.Hour, srv.URL)))
	require.Zero(t, b.alarms(bridge.AlarmArchiveExpires))
	ev := aged("p", week/4-time.Hour, srv.URL, srv.URL)
	for range 3 {
		require.Error(t, b.handle(ev))
	}
	list := b.raised.Of(bridge.AlarmArchiveExpires)
	require.Len(t, list, 1)
	require.Equal(t, ev.ID, list[0].Details["event"])
	require.Contains(t, list[0].Text, "2 outputs of event "+ev.ID)
	require.Contains(t, list[0].Text, ev.Time.Add(week).UTC().Format(time.RFC3339))
	require.Contains(t, list[0].Text, "answered 500")
	require.Error(t, b.handle(aged("q", week/4-time.Hour, srv.URL)))
	require.Len(t, b.raised.Of(bridge.AlarmArchiveExpires), 1, "one an hour, however many events there are")
}

// After their life there is nothing to wait for, and the dead letter says so.
func TestLifeIsOver(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	p := &told{}
	b := setup(t, func(c *Config) { weekly(c); c.Publish = p.publish })
	ev := aged("p", -time.Hour, srv.URL+"/a", srv.URL+"/b")
	err := b.handle(ev)
	require.True(t, consumers.IsPermanent(err))
	require.ErrorContains(t, err, "answered 502, and the provider has kept it until "+ev.Time.Add(week).UTC().Format(time.RFC3339)+" only")
	a := archivedOf(t, p.events[0])
	require.Len(t, a.Outputs, 1, "%+v", a.Missing)
	require.Contains(t, a.Missing[0].Error, "has kept it until")
	require.Empty(t, temporaries(t, b.dir))
}

// A part of an output that is given up is of no use, and takes room.
func TestNothingStaysOfWhatIsOver(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(1 << 20), etag: `"1"`, cut: 500 << 10, cuts: 1}
	f.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, weekly)
	ev := aged("p", -time.Hour, srv.URL+"/a.mp4")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	require.Len(t, f.asked(), 2)
	require.Empty(t, temporaries(t, b.dir))
}

// Archived outputs are not in danger while their event cannot be published.
func TestUnpublishedIsNotUnarchived(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := &told{fail: func(int, *bridge.Event) error { return errors.New("broken") }}
	b := setup(t, func(c *Config) { weekly(c); c.Publish = p.publish })
	ev := aged("p", time.Hour, srv.URL+"/a")
	for range 2 {
		err := b.handle(ev)
		require.ErrorContains(t, err, "broken")
		require.Zero(t, b.lives.outputs())
		require.Zero(t, b.alarms(bridge.AlarmArchiveExpires))
	}
}

// An attempt that took too long has failed like any other.
func TestAttemptTookTooLong(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(consumers.ErrTimeout)
		<-r.Context().Done()
	})
	b := setup(t, weekly)
	err := b.Handle(ctx, aged("p", 10*time.Hour, srv.URL+"/a"))
	require.ErrorIs(t, err, consumers.ErrTimeout)
	require.NotEqual(t, consumers.ErrTimeout, err, "it says how soon it should come again")
	require.Equal(t, 1, int(b.lives.outputs()))
	require.Equal(t, 1, b.alarms(bridge.AlarmArchiveExpires))
}
