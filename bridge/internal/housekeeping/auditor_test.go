package housekeeping

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func auditor(t *testing.T, b *streamtest.Bench, memory Memory, alarms bridge.Alarmer) *Auditor {
	t.Helper()
	checkpoint, err := OpenCheckpoint(memory, "test")
	require.NoError(t, err)
	return NewAuditor(b.JS, checkpoint, AuditorConfig{
		Streams: []string{events, "HOOKSPAN_DEAD"}, Kept: []string{events}, Alone: true, Alarms: alarms, Logger: zap.NewNop(),
	})
}

func storePath(dir string) string {
	return filepath.Join(dir, "nats", "jetstream", "HOOKSPAN", "streams", events)
}

// Each case harms a stream behind the bridge's back, and names the expected alarm.
func TestAuditorNamesWhatWentMissing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		harm func(t *testing.T, b *streamtest.Bench)
		want []string
	}{
		"nothing":          {harm: func(*testing.T, *streamtest.Bench) {}},
		"more of the same": {harm: func(t *testing.T, b *streamtest.Bench) { put(t, b, 5, completed) }},
		"removed": {harm: func(t *testing.T, b *streamtest.Bench) {
			require.NoError(t, b.JS.DeleteStream(ctx, events))
		}, want: []string{bridge.AlarmStreamRemoved}},
		"made anew": {harm: func(t *testing.T, b *streamtest.Bench) {
			cfg := streamOf(t, b, events).CachedInfo().Config
			require.NoError(t, b.JS.DeleteStream(ctx, events))
			_, err := b.JS.CreateStream(ctx, cfg)
			require.NoError(t, err)
			put(t, b, 3, completed)
		}, want: []string{bridge.AlarmStoreBackwards}},
		"one message removed": {harm: func(t *testing.T, b *streamtest.Bench) {
			require.NoError(t, streamOf(t, b, events).DeleteMsg(ctx, 7))
			put(t, b, 3, completed)
		}, want: []string{bridge.AlarmStoreMissing}},
		"purged by somebody": {harm: func(t *testing.T, b *streamtest.Bench) {
			require.NoError(t, streamOf(t, b, events).Purge(ctx, jetstream.WithPurgeSequence(12)))
		}, want: []string{bridge.AlarmStoreMissing}},
		"purged by somebody, all of it": {harm: func(t *testing.T, b *streamtest.Bench) {
			require.NoError(t, streamOf(t, b, events).Purge(ctx))
		}, want: []string{bridge.AlarmStoreMissing}},
		"a dead letter dropped": {harm: func(t *testing.T, b *streamtest.Bench) {
			require.NoError(t, streamOf(t, b, "HOOKSPAN_DEAD").Purge(ctx))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := small(t, t.TempDir(), limit)
			put(t, b, 20, completed)
			put(t, b, 4, "hookspan.dead.d.expired")
			alarms, memory := &natstest.Alarms{}, &paper{}
			a := auditor(t, b, memory, alarms)
			a.Audit(ctx)
			require.Empty(t, alarms.Take())
			c.harm(t, b)
			// Another process, with the checkpoint of the first one.
			auditor(t, b, memory, alarms).Audit(ctx)
			require.Equal(t, c.want, natstest.KindsOf(alarms.Take()))
			a.Audit(ctx)
			got := alarms.Take()
			require.Equal(t, c.want, natstest.KindsOf(got), "and while it runs")
			for _, alarm := range got {
				require.Equal(t, events, alarm.Subject)
				require.EqualValues(t, 20, alarm.Details["last_before"])
			}
			if name != "removed" {
				a.Audit(ctx)
				require.Empty(t, alarms.Take(), "said once")
			}
		})
	}
}

// A stream that somebody removed is an alarm until it is there again.
func TestRemovedStreamIsTheAlarmUntilItIsBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := small(t, t.TempDir(), limit)
	alarms := &natstest.Alarms{}
	a := auditor(t, b, &paper{}, alarms)
	a.Audit(ctx)
	cfg := streamOf(t, b, "HOOKSPAN_DEAD").CachedInfo().Config
	require.NoError(t, b.JS.DeleteStream(ctx, cfg.Name))
	a.Audit(ctx)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	a.Audit(gone)
	require.False(t, alarms.Cleared(bridge.AlarmStreamRemoved), "nobody knows")
	_, err := b.JS.CreateStream(ctx, cfg)
	require.NoError(t, err)
	a.Audit(ctx)
	require.Equal(t, "HOOKSPAN_DEAD: the stream is there again", alarms.Of(bridge.AlarmStreamRemoved)[0].Over)
	require.True(t, slices.ContainsFunc(alarms.Of(bridge.AlarmStreamRemoved), func(a bridge.Alarm) bool { return a.Cleared }))
}

// A backup replaces the present store.
func TestAuditorFindsAnOldStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, memory, alarms := t.TempDir(), &paper{}, &natstest.Alarms{}
	b := small(t, dir, limit)
	put(t, b, 10, completed)
	b.Stop()
	backup := filepath.Join(t.TempDir(), "old")
	require.NoError(t, os.CopyFS(backup, os.DirFS(filepath.Join(dir, "nats"))))
	b = small(t, dir, limit)
	put(t, b, 10, completed)
	auditor(t, b, memory, alarms).Audit(ctx)
	b.Stop()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "nats")))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "nats"), os.DirFS(backup)))
	b = small(t, dir, limit)
	auditor(t, b, memory, alarms).Audit(ctx)
	got := alarms.Take()
	require.Equal(t, []string{bridge.AlarmStoreBackwards}, natstest.KindsOf(got))
	require.EqualValues(t, 20, got[0].Details["last_before"])
	require.EqualValues(t, 10, got[0].Details["last"])
}

// The tail of the newest file is cut off, as by a disk that lost its cache.
func TestAuditorFindsATruncatedStore(t *testing.T) {
	t.Parallel()
	dir, memory, alarms := t.TempDir(), &paper{}, &natstest.Alarms{}
	b := small(t, dir, limit)
	put(t, b, 20, completed)
	auditor(t, b, memory, alarms).Audit(context.Background())
	b.Stop()
	block := filepath.Join(storePath(dir), "msgs", "1.blk")
	info, err := os.Stat(block)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(block, info.Size()*3/4))
	b = small(t, dir, limit)
	auditor(t, b, memory, alarms).Audit(context.Background())
	got := alarms.Take()
	require.Equal(t, []string{bridge.AlarmStoreMissing}, natstest.KindsOf(got))
	require.Contains(t, got[0].Text, "5 messages fewer")
}

// A purge of the janitor is no loss, even if the process dies right after it.
func TestAuditorKnowsTheJanitor(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, perFull*9/10, completed)
	read(t, durableOf(t, b, jetstream.ConsumerConfig{Durable: "d"}), perFull*9/10, all)
	alarms, memory := &natstest.Alarms{}, &paper{}
	a := auditor(t, b, memory, alarms)
	a.Audit(context.Background())
	j := janitor(b, alarms)
	j.cfg.BeforePurge = func(to uint64) { require.NoError(t, a.checkpoint.Purging(events, to)) }
	require.NoError(t, j.Tick(context.Background()))
	require.Greater(t, state(t, b, events).FirstSeq, uint64(1))
	auditor(t, b, memory, alarms).Audit(context.Background())
	a.Audit(context.Background())
	require.Empty(t, alarms.Take())
}

// Without a checkpoint the audit goes on, and only misses losses of earlier times.
func TestAuditorWithoutMemory(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, 5, completed)
	alarms, memory := &natstest.Alarms{}, &paper{fail: true}
	a := auditor(t, b, memory, alarms)
	a.Audit(context.Background())
	require.NoError(t, streamOf(t, b, events).DeleteMsg(context.Background(), 3))
	a.Audit(context.Background())
	require.Equal(t, []string{bridge.AlarmStoreMissing}, natstest.KindsOf(alarms.Take()))

	checkpoint, err := OpenCheckpoint(&paper{text: []byte("{")}, "test")
	require.Error(t, err)
	NewAuditor(b.JS, checkpoint, a.cfg).Audit(context.Background())
	require.Empty(t, alarms.Take())
}

func TestGauges(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	a := auditor(t, b, &paper{}, &natstest.Alarms{})
	put(t, b, 10, completed)
	a.Audit(context.Background())
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(a.Collectors()...)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hookspan_stream_last_sequence Sequence of the stream's last message.
# TYPE hookspan_stream_last_sequence gauge
hookspan_stream_last_sequence{stream="HOOKSPAN_DEAD"} 0
hookspan_stream_last_sequence{stream="HOOKSPAN_EVENTS"} 10
# HELP hookspan_stream_seconds_until_full How long until the stream is full if messages go on arriving as in the last 10 minutes and none is removed; +Inf when none arrive.
# TYPE hookspan_stream_seconds_until_full gauge
hookspan_stream_seconds_until_full{stream="HOOKSPAN_DEAD"} +Inf
hookspan_stream_seconds_until_full{stream="HOOKSPAN_EVENTS"} +Inf
`), "hookspan_stream_last_sequence", "hookspan_stream_seconds_until_full"))

	// 10 a second of 100 bytes each, with 80,000 bytes left.
	start := time.Now()
	info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{MaxBytes: 100_000}}
	for second := range 100 {
		info.State = jetstream.StreamState{LastSeq: uint64(1000 + second*10), Msgs: 200, Bytes: 20_000}
		a.gauges.observe("x", info, start.Add(time.Duration(second)*time.Second))
	}
	require.InDelta(t, 80, testutil.ToFloat64(a.gauges.untilFull.WithLabelValues("x")), 0.001)
}

// A new leader of a replicated stream may answer before it has applied everything: what it lacks
// for a moment is no loss, and what it lacks for longer is one.
func TestAuditorWaitsForALeaderThatLags(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), 1<<20)
	put(t, b, 5, completed)
	alarms := &natstest.Alarms{}
	a := auditor(t, b, &paper{}, alarms)
	info := streamOf(t, b, events).CachedInfo()
	info.Cluster = &jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{{Name: "b"}, {Name: "c"}}}
	lagging := *info
	lagging.State.LastSeq, lagging.State.Msgs = 3, 3
	a.compare(events, info)
	a.compare(events, &lagging)
	a.compare(events, info)
	require.Empty(t, alarms.All())
	a.compare(events, &lagging)
	a.behind[events] = a.behind[events].Add(-lagTime)
	a.compare(events, &lagging)
	require.Equal(t, []string{bridge.AlarmStoreBackwards}, alarms.Kinds())
}
