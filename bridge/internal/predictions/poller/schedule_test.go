package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

const model = "get3w/flux-dev"

// No prediction is polled before the sender can have given up.
func TestDue(t *testing.T) {
	t.Parallel()
	r := newRig(t, noStore{t}, nil, says(`"status":"processing"`))
	const span = 220 * time.Second
	rec := func(change func(*Record)) Record {
		rec := Record{Source: "get3w", ID: "a", Model: model, FirstSeen: foldtest.Noon}
		if change != nil {
			change(&rec)
		}
		return rec
	}
	require.Equal(t, foldtest.Noon.Add(10*time.Minute), r.Due(rec(nil)), "nothing is known of it")
	require.Equal(t, foldtest.Noon.Add(span), r.Due(rec(func(r *Record) { r.ExpectedBy = foldtest.Noon.Add(time.Second) })))
	require.Equal(t, foldtest.Noon.Add(time.Hour), r.Due(rec(func(r *Record) { r.ExpectedBy = foldtest.Noon.Add(time.Hour) })))
	require.Equal(t, foldtest.Noon.Add(52*time.Second+span), r.Due(rec(func(r *Record) {
		r.Estimate, r.ExpectedBy = 52, foldtest.Noon.Add(156*time.Second)
	})))
	require.Equal(t, foldtest.Noon.Add(600*time.Second), r.Due(rec(func(r *Record) {
		r.Estimate, r.ExpectedBy = 200, foldtest.Noon.Add(600*time.Second)
	})))
	require.Equal(t, foldtest.Noon.Add(2*time.Hour), r.Due(rec(func(r *Record) { r.NotBefore = foldtest.Noon.Add(2 * time.Hour) })))
	require.Equal(t, foldtest.Noon.Add(24*time.Hour), r.Due(rec(func(r *Record) { r.ExpectedBy = foldtest.Noon.Add(29 * 24 * time.Hour) })),
		"nobody knows how long it takes, and what it made may be gone after seven days")
	require.Equal(t, foldtest.Noon.Add(6*24*time.Hour), r.Due(rec(func(r *Record) {
		r.Estimate, r.ExpectedBy = (29 * 24 * time.Hour).Seconds(), foldtest.Noon.Add(87*24*time.Hour)
	})))
	for range modelEnough {
		r.models.add("get3w", model, 4*time.Second)
	}
	require.Equal(t, foldtest.Noon.Add(4*time.Second+span), r.Due(rec(nil)), "how long the model takes is known")
	require.Equal(t, foldtest.Noon.Add(10*time.Minute), r.Due(rec(func(r *Record) { r.Model = "another" })))
	for range modelEnough {
		r.models.add("get3w", model, 10*time.Minute)
	}
	require.Equal(t, foldtest.Noon.Add(30*time.Minute), r.Due(rec(nil)))
	require.Equal(t, foldtest.Noon.Add(time.Minute), r.Due(rec(func(r *Record) {
		r.GivenUp, r.NotBefore = foldtest.Noon, foldtest.Noon.Add(time.Minute)
	})), "it is not asked for, it is only to be told")
}

func TestBackoffDoublesUpToAnHour(t *testing.T) {
	t.Parallel()
	r := newRig(t, noStore{t}, nil, says(`"status":"processing"`))
	for _, c := range []struct {
		polls    int
		estimate float64
		want     time.Duration
	}{
		{1, 0, 30 * time.Second},
		{1, 120, 40 * time.Second},
		{1, 6000, time.Minute},
		{2, 0, time.Minute},
		{4, 0, 4 * time.Minute},
		{8, 0, time.Hour},
		{1 << 40, 0, time.Hour},
	} {
		for range 100 {
			got := r.backoff(&Record{Source: "get3w", Polls: c.polls, Estimate: c.estimate})
			require.GreaterOrEqual(t, got, c.want*8/10-1)
			require.LessOrEqual(t, got, c.want*12/10+1)
		}
	}
}

func TestModelsKnowTheirLastDurations(t *testing.T) {
	t.Parallel()
	m := newModels()
	for _, d := range []time.Duration{0, -time.Second, 25 * time.Hour, 1, 2, 3, 4} {
		m.add("get3w", model, d*1)
	}
	_, known := m.p99("get3w", model)
	require.False(t, known, "four are too few")
	m.add("get3w", model, 5)
	got, known := m.p99("get3w", model)
	require.True(t, known)
	require.EqualValues(t, 5, got)
	_, known = m.p99("other", model)
	require.False(t, known)
	for n := range 100 * modelSamples {
		m.add("get3w", model, time.Duration(1000+n%100))
	}
	got, _ = m.p99("get3w", model)
	require.InDelta(t, 1098, float64(got), 1.1)
	require.Len(t, m.byName[modelName{"get3w", model}].sorted, modelSamples)
	require.IsIncreasing(t, append([]time.Duration{0}, uniq(m.byName[modelName{"get3w", model}].sorted)...))
	for n := range 2 * maxModels {
		m.add("get3w", string(rune('a'+n%26))+time.Duration(n).String(), time.Second)
	}
	require.LessOrEqual(t, len(m.byName), maxModels)
}

func uniq(all []time.Duration) []time.Duration {
	var out []time.Duration
	for _, d := range all {
		if len(out) == 0 || out[len(out)-1] != d {
			out = append(out, d)
		}
	}
	return out
}

// A late poll's answer tells nothing about a prediction's duration.
func TestPolledArrivalsAreNoDurations(t *testing.T) {
	t.Parallel()
	s := bridge.PredictionState{FirstSeen: foldtest.Noon, ReceivedAt: foldtest.Noon.Add(time.Minute), Announced: &bridge.Announced{}, Origin: bridge.OriginWebhook}
	require.Equal(t, time.Minute, took(&s))
	s.Origin = bridge.OriginPoll
	require.Zero(t, took(&s))
	s.CreatedAt, s.CompletedAt = foldtest.Noon, foldtest.Noon.Add(3*time.Second)
	require.Equal(t, 3*time.Second, took(&s))
	s.Announced, s.Origin, s.CompletedAt = nil, bridge.OriginWebhook, foldtest.Noon.Add(-time.Second)
	require.Zero(t, took(&s))
}
