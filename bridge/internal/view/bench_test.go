package view

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// eventMessages are n events about as many predictions, or about half as many when two tell
// of each, from the sequence on.
func eventMessages(t testing.TB, first, n int, perPrediction int) []message {
	t.Helper()
	template := says(t, "pred", finished)
	early := says(t, "pred", running)
	out := make([]message, n)
	for i := range out {
		seq := first + i
		e := *template
		if perPrediction > 1 && seq%perPrediction != perPrediction-1 {
			e = *early
		}
		id := predictionID(seq / perPrediction)
		e.PredictionID, e.ID = id, id+e.ID[len("pred"):]
		e.Model = fmt.Sprint("get3w/model-", seq%20)
		stored := time.Date(2026, 1, 31, 12, 0, 0, seq*1000, time.UTC)
		out[i] = message{seq: uint64(seq), stored: stored, event: &e, at: fold.At{Sequence: uint64(seq), StoredAt: stored}}
	}
	return out
}

// predictionID is the nth id; neighbours are far apart.
func predictionID(n int) string { return fmt.Sprintf("pred_%016x", uint64(n)*0x9E3779B97F4A7C15) }

// filled is a view of n events in the file, without a stream.
func filled(t testing.TB, path string, n, perPrediction int) *View {
	t.Helper()
	v := &View{log: zap.NewNop(), cfg: Config{
		Path: path, Keep: 365 * 24 * time.Hour, MaxBytes: 1 << 40, Alarms: bridge.NoAlarms{},
		Due: func(s *bridge.PredictionState) time.Time { return s.FirstSeen }, Changed: func([]Change) {},
	}}
	v.streams = v.allStreams()
	require.NoError(t, v.open())
	v.events().position.created = time.Unix(1, 0)
	for i := 0; i < n; i += blockMessages {
		foldDirectly(t, v, eventMessages(t, 1+i, blockMessages, perPrediction))
	}
	return v
}

func foldDirectly(t testing.TB, v *View, msgs []message) {
	t.Helper()
	last := msgs[len(msgs)-1]
	require.NoError(t, v.events().foldBlock(block{stream: v.events(), msgs: msgs, last: last.seq, stored: last.stored}))
}

func BenchmarkFold(b *testing.B) {
	for _, per := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d_events_a_prediction", per), func(b *testing.B) {
			v := filled(b, filepath.Join(b.TempDir(), "view.db"), 100_000, per)
			defer func() { require.NoError(b, v.drop()) }()
			seq, worst, folding := 100_001, time.Duration(0), time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				msgs := eventMessages(b, seq, blockMessages, per)
				seq += len(msgs)
				b.StartTimer()
				began := time.Now()
				foldDirectly(b, v, msgs)
				folding += time.Since(began)
				worst = max(worst, time.Since(began))
			}
			b.ReportMetric(float64(seq-100_001)/folding.Seconds(), "events/s")
			b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
		})
	}
}
