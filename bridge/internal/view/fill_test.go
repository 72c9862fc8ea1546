package view

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

var (
	fillFile    = flag.String("view.file", "", "the file that BenchmarkFill makes")
	fillCreated = flag.String("view.created", "", "when its stream of events was made, in RFC 3339")
)

// BenchmarkFill makes the view of a stream whose events have come evenly through the last day
// and have left it since: two events of each prediction, as [eventMessages] has them, and an
// attempt of the consumer c0 on each of the last. A bridge whose stream was made then takes the
// file over. It is written without a sync, since nobody needs it after a crash.
func BenchmarkFill(b *testing.B) {
	const day = 24 * time.Hour
	created, err := time.Parse(time.RFC3339Nano, *fillCreated)
	require.NoError(b, err, "-view.created")
	n, end := *eventsFlag, time.Now().UTC()
	at := func(seq uint64) time.Time { return end.Add(time.Duration(seq)*(day/time.Duration(n)) - day) }
	for b.Loop() {
		v := filled(b, *fillFile, 0, 2)
		require.NoError(b, v.db.Load().writer.Exec("PRAGMA synchronous = OFF; PRAGMA secure_delete = OFF; PRAGMA cache_size = -131072"))
		v.events().position.created = created
		for i := 0; i < n; i += blockMessages {
			foldDirectly(b, v, recentMessages(b, i+1, min(blockMessages, n-i), at))
			if i%100_000 == 0 {
				fmt.Println(i, "events are folded") // whoever waits sees that it goes on
			}
		}
		fillLanes(b, v, n, 100_000)
		require.NoError(b, v.drop())
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// recentMessages are those of [eventMessages] at other times.
func recentMessages(t testing.TB, first, n int, at func(seq uint64) time.Time) []message {
	t.Helper()
	out := eventMessages(t, first, n, 2)
	for i := range out {
		m := &out[i]
		m.stored = at(m.seq)
		m.at.StoredAt, m.event.ReceivedAt, m.event.Time = m.stored, m.stored, m.stored
		began, ended := m.stored.Add(-5*time.Second).Format(time.RFC3339Nano), ""
		if bridge.Terminal(m.event.Status) {
			ended = fmt.Sprintf(`,"outputs":["https://cdn.get3w.com/%s.png"],"completed_at":"%s","timings":{"inference":2000}`, m.event.PredictionID, m.stored.Format(time.RFC3339Nano))
		}
		m.event.Body = fmt.Appendf(nil, `{"id":"%s","model":"%s","status":"%s","created_at":"%s"%s}`, m.event.PredictionID, m.event.Model, m.event.RawStatus, began, ended)
	}
	return out
}
