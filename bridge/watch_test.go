package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWatchTravels(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	w := &Watch{
		Source: "get3w", Prediction: "pred/1", Model: "get3w/flux-dev", Deadline: now.Add(time.Hour), EstimatedDuration: 52,
		Reference: "order 7", Tenant: "acme", Metadata: map[string]string{"user": "ü"},
	}
	require.NoError(t, w.Check(now))
	e, err := w.Event(now)
	require.NoError(t, err)
	require.Equal(t, "hookspan.events.get3w.watch.set.get3w.flux-dev", Names{}.SubjectOf(e))
	read, err := DecodeEvent(e.Header(), e.Body)
	require.NoError(t, err)
	got, err := read.Watch()
	require.NoError(t, err)
	require.Equal(t, w, got)
	again, err := w.Event(now.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, e.ID, again.ID, "the same said again is the same fact")
	_, err = read.Prediction()
	require.ErrorIs(t, err, ErrOtherKind)
	_, err = read.Lost()
	require.ErrorIs(t, err, ErrOtherKind)
}

func TestLostTravels(t *testing.T) {
	t.Parallel()
	l := &Lost{
		Source: "get3w", Prediction: "pred_1", Cause: DeadNotFound, Error: "404", Polls: 3,
		Since: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), LostAt: time.Date(2026, 1, 31, 13, 0, 0, 0, time.UTC),
	}
	e, err := l.Event()
	require.NoError(t, err)
	require.Equal(t, "hookspan.events.get3w.watch.lost.=", Names{}.SubjectOf(e))
	read, err := DecodeEvent(e.Header(), e.Body)
	require.NoError(t, err)
	got, err := read.Lost()
	require.NoError(t, err)
	require.Equal(t, l, got)
}

func TestWatchLimits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for text, change := range map[string]func(*Watch){
		"not a usable name":     func(w *Watch) { w.Source = "a.b" },
		"id is empty":           func(w *Watch) { w.Prediction = "" },
		"no prediction id":      func(w *Watch) { w.Prediction = ".." },
		"at most 256":           func(w *Watch) { w.Prediction = strings.Repeat("x", 257) },
		"model has":             func(w *Watch) { w.Model = strings.Repeat("x", MaxModel+1) },
		"reference and tenant":  func(w *Watch) { w.Tenant = strings.Repeat("x", MaxReference+1) },
		"from now are possible": func(w *Watch) { w.Deadline = now.Add(MaxWatchAhead + time.Minute) },
		"too long ago":          func(w *Watch) { w.Deadline = time.Unix(1, 0) },
		"estimated_duration":    func(w *Watch) { w.EstimatedDuration = -1 },
		"at most 8": func(w *Watch) {
			w.Metadata = map[string]string{"1": "", "2": "", "3": "", "4": "", "5": "", "6": "", "7": "", "8": "", "9": ""}
		},
		"metadata \"A\"":            func(w *Watch) { w.Metadata = map[string]string{"A": ""} },
		"metadata a has 1025 bytes": func(w *Watch) { w.Metadata = map[string]string{"a": strings.Repeat("x", MaxQueryValue+1)} },
	} {
		w := &Watch{Source: "get3w", Prediction: "pred_1"}
		require.NoError(t, w.Check(now))
		change(w)
		require.ErrorContains(t, w.Check(now), text)
	}
}

func FuzzWatch(f *testing.F) {
	f.Add([]byte(`{"source":"get3w","prediction":"pred_1","deadline":"2026-01-31T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := (&Event{Type: TypeWatch, Body: body}).Watch()
		if (w == nil) == (err == nil) {
			t.Fatal("either a watch or an error")
		}
	})
}

func FuzzLost(f *testing.F) {
	f.Add([]byte(`{"source":"get3w","prediction":"pred_1","cause":"not_found"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := (&Event{Type: TypeLost, Body: body}).Lost()
		if (l == nil) == (err == nil) {
			t.Fatal("either a loss or an error")
		}
	})
}
