package view

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/natstest"
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
		if perPrediction > 1 && (seq%perPrediction != perPrediction-1 || seq/perPrediction%10 == 0) { // every tenth stays open
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
func filled(t testing.TB, path string, n, perPrediction int, change ...func(*Config)) *View {
	t.Helper()
	v := &View{log: zap.NewNop(), counted: map[string]counts{}, cfg: Config{
		Path: path, Keep: 365 * 24 * time.Hour, MaxBytes: 1 << 40,
		Due: func(s *bridge.PredictionState) time.Time { return s.FirstSeen }, Life: func(string) time.Duration { return 7 * 24 * time.Hour }, Changed: func([]Change) {},
		Erased: func(string, uint64, string, string) bool { return false },
	}}
	for _, c := range change {
		c(&v.cfg)
	}
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
	for _, c := range []struct{ per, block int }{{1, blockMessages}, {2, blockMessages}, {2, 80}} {
		b.Run(fmt.Sprintf("%d_events_a_prediction_in_blocks_of_%d", c.per, c.block), func(b *testing.B) {
			v := filled(b, filepath.Join(b.TempDir(), "view.db"), 100_000, c.per)
			defer func() { require.NoError(b, v.drop()) }()
			seq, worst, folding, processor := 100_001, time.Duration(0), time.Duration(0), time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				msgs := eventMessages(b, seq, c.block, c.per)
				seq += len(msgs)
				b.StartTimer()
				began, used := time.Now(), natstest.Processor()
				foldDirectly(b, v, msgs)
				folding += time.Since(began)
				processor += natstest.Processor() - used
				worst = max(worst, time.Since(began))
			}
			b.ReportMetric(float64(seq-100_001)/folding.Seconds(), "events/s")
			b.ReportMetric(float64(processor.Microseconds())/float64(seq-100_001), "µs-processor/event")
			b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
		})
	}
}

// BenchmarkRebuild folds a stream from its first event on.
func BenchmarkRebuild(b *testing.B) {
	server := natstest.NewExternal(b, func(o *server.Options) { o.SyncAlways = false }) // a million syncs are not what is measured
	server.Start()
	r := &rig{Streams: server.MakeStreams(), t: b, dir: b.TempDir()}
	stream, err := r.JS.Stream(b.Context(), r.Names.EventsStream())
	require.NoError(b, err)
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = -1
	_, err = r.JS.UpdateStream(b.Context(), cfg)
	require.NoError(b, err)
	for i := 0; i < *eventsFlag; i += blockMessages {
		for _, m := range eventMessages(b, i, blockMessages, 2) {
			_, err := r.JS.PublishMsgAsync(&nats.Msg{Subject: r.Names.SubjectOf(m.event), Header: nats.Header(m.event.Header()), Data: m.event.Body})
			require.NoError(b, err)
		}
		<-r.JS.PublishAsyncComplete()
	}
	natstest.ForgetPeak(b)
	before := natstest.PeakMiB(b)
	for n := 0; b.Loop(); n++ {
		began, used := time.Now(), natstest.Processor()
		x := r.start(fmt.Sprint("view", n, ".db"), func(c *Config) { c.Changed = nil })
		events := x.events()
		require.Eventually(b, func() bool { return events.at().seq >= uint64(*eventsFlag) }, time.Hour, 10*time.Millisecond)
		b.ReportMetric(float64(*eventsFlag)/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(float64((natstest.Processor()-used).Microseconds())/float64(*eventsFlag), "µs-processor/event")
		x.stop()
	}
	b.ReportMetric(natstest.PeakMiB(b)-before, "MiB-more-at-peak")
}

var eventsFlag = flag.Int("view.events", 100_000, "how many events the benchmark of a large view folds first")

// BenchmarkPages reports the slowest hundredth of each query of a large view, and what the
// view costs at rest.
func BenchmarkPages(b *testing.B) {
	n := *eventsFlag
	path := filepath.Join(b.TempDir(), "view.db")
	v := filled(b, path, n, 2, func(c *Config) { // too many expire within a day to be put in order at once
		c.Life = func(string) time.Duration {
			return time.Since(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) + 12*time.Hour
		}
	})
	fillDead(b, v, 100_000)
	fillLanes(b, v, n, 100_000)
	require.NoError(b, v.drop())
	before := resident(b)
	began := time.Now()
	require.NoError(b, v.open())
	defer func() { require.NoError(b, v.drop()) }()
	_, err := v.Prediction(b.Context(), "get3w", predictionID(n/4))
	require.NoError(b, err)
	opened := time.Since(began)
	info, err := os.Stat(path)
	require.NoError(b, err)

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	cursor := func() string { return cursorOf(random.Int64N(int64(n))) }
	now := time.Date(2026, 1, 31, 12, 0, 0, n*1000, time.UTC)
	spreadActivity(b, v, now)
	standing := func(consumer string, state LaneState) func() error {
		return func() error {
			_, _, err := v.Predictions(b.Context(), Query{Consumers: []Standing{{consumer, state}}, Cursor: cursor()})
			return err
		}
	}
	queries := map[string]func() error{
		"newest": func() error { _, _, err := v.Predictions(b.Context(), Query{Cursor: cursor()}); return err },
		"status": func() error {
			_, _, err := v.Predictions(b.Context(), Query{Status: "completed", Cursor: cursor()})
			return err
		},
		"model": func() error {
			_, _, err := v.Predictions(b.Context(), Query{Model: "get3w/model-6", Cursor: cursor()})
			return err
		},
		"glob": func() error {
			_, _, err := v.Predictions(b.Context(), Query{Model: "get3w/*", Cursor: cursor()})
			return err
		},
		"open": func() error { _, _, err := v.Predictions(b.Context(), Query{Open: true, Cursor: cursor()}); return err },
		"time": func() error {
			at := time.Date(2026, 1, 31, 12, 0, 0, random.IntN(n)*1000, time.UTC)
			_, _, err := v.Predictions(b.Context(), Query{Since: at, Until: at.Add(time.Hour)})
			return err
		},
		"rarest": func() error {
			_, _, err := v.Predictions(b.Context(), Query{Model: "*-6", Source: "nobody", Cursor: cursor()})
			return err
		},
		"search-prefix": func() error {
			_, _, err := v.Predictions(b.Context(), Query{IDPrefix: predictionID(random.IntN(n / 2))[:8], Cursor: cursor()})
			return err
		},
		"search-common-prefix": func() error {
			_, _, err := v.Predictions(b.Context(), Query{IDPrefix: predictionID(random.IntN(n / 2))[:6], Cursor: cursor()})
			return err
		},
		"search-failing": standing("mail", LaneFailing), "search-handled": standing("mail", LaneHandled), "search-handled-by-nobody": standing("nobody", LaneHandled),
		"search-dead": standing("c3", LaneDead),
		"search-missing": func() error {
			_, _, err := v.Predictions(b.Context(), Query{Missing: true, Cursor: cursor()})
			return err
		},
		"search-expires": func() error {
			_, _, err := v.Predictions(b.Context(), Query{ExpiresBefore: time.Now().Add(24 * time.Hour), Cursor: cursor()})
			return err
		},
		"search-expires-first": func() error {
			_, _, err := v.Predictions(b.Context(), Query{ExpiresBefore: time.Now().Add(time.Hour), Model: "*-6", Cursor: cursor()})
			return err
		},
		"prefix": func() error { _, err := v.Find(b.Context(), "", predictionID(random.IntN(n / 2))[:10], 50); return err },
		"one": func() error {
			_, err := v.Prediction(b.Context(), "get3w", predictionID(random.IntN(n/2-1)+1))
			return err
		},
		"timeline": func() error {
			_, err := v.Timeline(b.Context(), "get3w", predictionID(random.IntN(n/2-1)+1), "")
			return err
		},
		"dead": func() error {
			_, _, err := v.DeadLetters(b.Context(), DeadQuery{Consumer: "c3", Cursor: cursorOf(random.Int64N(100_000))})
			return err
		},
		"causes": func() error {
			_, _, err := v.DeadLetters(b.Context(), DeadQuery{Cause: "refused", Cursor: cursorOf(random.Int64N(100_000))})
			return err
		},
		"events": func() error {
			_, err := v.Events(b.Context(), EventQuery{Filter: bridge.Filter{Statuses: []string{"failed"}}, Cursor: cursor()})
			return err
		},
		"dead_groups": func() error {
			_, _, err := v.DeadGroups(b.Context(), GroupQuery{Limit: 100, Cursor: cursorOf(100_000 - random.Int64N(20))})
			return err
		},
		"dead_of_group": func() error {
			_, _, err := v.DeadLetters(b.Context(), DeadQuery{Group: DeadGroupID("c3", bridge.DeadRefused, `aaa: status 503 of "3"`), Cursor: cursorOf(random.Int64N(100_000))})
			return err
		},
		"models_of_a_day": func() error {
			_, err := v.Models(b.Context(), ModelQuery{Since: 24 * time.Hour, Now: now, Limit: 100})
			return err
		},
		"models_of_a_month": func() error {
			_, err := v.Models(b.Context(), ModelQuery{Since: MaxSince, Now: now, Limit: 100})
			return err
		},
		"figures": func() error { _, err := v.Figures(b.Context(), now); return err },
		"due":     func() error { _, err := v.Due(b.Context(), "get3w", time.Now(), 100); return err },
		"counts":  func() error { _, _, _, err := v.Counts(b.Context(), "get3w", time.Now()); return err },
	}
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			used := natstest.Processor()
			for b.Loop() {
				began := time.Now()
				require.NoError(b, queries[name]())
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64((natstest.Processor()-used).Microseconds())/1000/float64(len(took)), "ms-processor")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(opened.Milliseconds()), "open-ms")
		b.ReportMetric(resident(b)-before, "MiB-more-resident")
		b.ReportMetric(float64(info.Size()>>20), "MiB-file")
	})
}

// spreadActivity counts what 20 models do in two months, each with 40 times and 5 errors an hour.
func spreadActivity(t testing.TB, v *View, now time.Time) {
	t.Helper()
	require.NoError(t, v.write(func(c *conn) error {
		for hour := range 60 * 24 {
			counts := newActivities()
			minute := now.Add(-time.Duration(hour)*time.Hour).Unix() / 60
			for model := range 20 {
				key := activityKey{minute, "get3w", fmt.Sprint("get3w/model-", model), bridge.StatusCompleted}
				n := &counted{n: 1000, lags: &lags{}}
				for i := range 40 {
					for kind := range lagKinds {
						n.lags.add(kind, time.Duration(1+i*i*model)*time.Millisecond)
					}
				}
				counts.models[key] = n
				key.status = bridge.StatusFailed
				counts.models[key] = &counted{n: 5}
				for i := range 5 {
					counts.fail(failureKey{minute, "get3w", key.model, fmt.Sprint("error ", strings.Repeat("x", i))}, 1)
				}
			}
			if err := counts.write(c); err != nil {
				return err
			}
		}
		return nil
	}))
}

func fillDead(t testing.TB, v *View, n int) {
	t.Helper()
	require.NoError(t, v.write(func(c *conn) error {
		var b block
		for i := range n {
			cause := []bridge.DeadCause{bridge.DeadRefused, bridge.DeadExhausted, bridge.DeadPermanent}[i%3]
			b.msgs = append(b.msgs, message{row: &DeadLetter{
				Sequence: uint64(i + 1), Consumer: fmt.Sprint("c", i%10), Cause: cause, Error: fmt.Sprintf("%s: status %d of %q", strings.Repeat("a", i%100), 500+i%50, fmt.Sprint(i)), Source: "get3w", Prediction: predictionID(i), Event: "x", Stored: time.Now().Add(time.Duration(i) * time.Second),
			}})
		}
		_, err := foldDead(c, v.deadStream(), b)
		return err
	}))
}

// fillLanes tells of an attempt of one consumer on each of the last lanes of n events; each
// tenth failed.
func fillLanes(t testing.TB, v *View, n, lanes int) {
	t.Helper()
	lanes = min(lanes, n)
	for from := n - lanes; from < n; from += blockMessages {
		var heard []told
		for _, m := range eventMessages(t, from+1, min(blockMessages, n-from), 2) {
			a := bridge.Attempt{Event: m.event.ID, Sequence: m.seq, At: m.stored, Try: 1, Verdict: bridge.VerdictDone}
			if m.seq%10 == 0 {
				a.Verdict, a.Error = bridge.VerdictRetry, "boom"
			}
			heard = append(heard, told{"mail", a})
		}
		require.NoError(t, v.foldAttempts(t.Context(), heard))
	}
}

// resident is the process's resident memory in MiB, without what the collector can free.
func resident(t testing.TB) float64 {
	t.Helper()
	debug.FreeOSMemory()
	self, err := procfs.Self()
	require.NoError(t, err)
	stat, err := self.Stat()
	require.NoError(t, err)
	return float64(stat.ResidentMemory()) / (1 << 20)
}
