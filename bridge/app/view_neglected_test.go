package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/view"
)

// fakeView is a view that has everything.
type fakeView struct {
	waiting view.Waiting
	err     error
	asked   int
}

func (*fakeView) Status() view.Status {
	return view.Status{UpToDate: true, Streams: map[string]view.StreamStatus{"HOOKSPAN_QUARANTINE": {Messages: 3}}}
}

func (f *fakeView) Waiting(context.Context, time.Time) (view.Waiting, error) {
	f.asked++
	return f.waiting, f.err
}

type raised []bridge.Alarm

func (r *raised) Raise(a bridge.Alarm) { *r = append(*r, a) }

// A quarantine that nobody empties for an hour and outputs that are about to be deleted are
// alarms, which end with their cause, and not because the view cannot be read for a while.
func TestWhatNobodySeesToIsTold(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	var said raised
	of := &fakeView{}
	w := &viewWatch{view: of, names: bridge.Names{}, soon: 24 * time.Hour, alarms: lasting.New(&said)}
	look := func(after time.Duration, waiting view.Waiting, err error) []bridge.Alarm {
		said, of.waiting, of.err = nil, waiting, err
		w.look(t.Context(), noon.Add(after))
		return said
	}
	kept := view.Waiting{Quarantined: noon}
	require.Empty(t, look(0, kept, nil))
	require.Empty(t, look(59*time.Minute, kept, nil))
	alarms := look(time.Hour, kept, nil)
	require.Len(t, alarms, 1)
	require.Equal(t, bridge.AlarmQuarantined, alarms[0].Kind)
	require.Contains(t, alarms[0].Text, "3 authentic deliveries could not become events, and the oldest has been in the quarantine since 2026-01-31T12:00:00Z: hookspan quarantine list")
	require.Len(t, look(80*time.Minute, view.Waiting{}, errors.New("away")), 1)
	require.Equal(t, alarms, look(100*time.Minute, view.Waiting{}, errors.New("away")), "nobody knows that it is empty")
	over := look(101*time.Minute, view.Waiting{}, nil)
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared)
	require.Equal(t, bridge.AlarmQuarantined, over[0].Kind)

	expiring := view.Waiting{Unarchived: 2, NextDeleted: noon.Add(72 * time.Hour)}
	require.Empty(t, look(47*time.Hour, expiring, nil))
	alarms = look(48*time.Hour, expiring, nil)
	require.Len(t, alarms, 1)
	require.Equal(t, bridge.AlarmArchiveExpires, alarms[0].Kind)
	require.Contains(t, alarms[0].Text, "2 predictions have outputs that no archive has, and the provider deletes the first at 2026-02-03T12:00:00Z")
	w.soon = 0
	over = look(49*time.Hour, expiring, nil)
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared, "nobody archives, so nobody misses them")
}

// A scrape shows what was known and asks nobody.
func TestScrapeOfTheViewAsksNobody(t *testing.T) {
	t.Parallel()
	of := &fakeView{waiting: view.Waiting{Unarchived: 2}}
	w := &viewWatch{view: of, alarms: lasting.New(bridge.NoAlarms{})}
	w.look(t.Context(), time.Now())
	reg := prometheus.NewRegistry()
	reg.MustRegister(w)
	for range 3 {
		families, err := reg.Gather()
		require.NoError(t, err)
		require.Len(t, families, 7)
	}
	require.Equal(t, 1, of.asked)
}
