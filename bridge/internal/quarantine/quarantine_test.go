package quarantine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

func walk(t *testing.T, s *quarantine.KeptStore, sel adminapi.KeptSelection) []adminapi.KeptEntry {
	t.Helper()
	var out []adminapi.KeptEntry
	require.NoError(t, s.Walk(context.Background(), sel, func(e adminapi.KeptEntry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func TestQuarantineOutlivesARestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	b := streamtest.StartIn(t, dir, streamtest.Config())
	q := quarantine.NewQuarantine(b.Publisher(), b.Names, &natstest.Alarms{})
	first := streamtest.Kept("{}")
	receipt, err := q.Keep(ctx, first)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Quarantined, Stream: "HOOKSPAN_QUARANTINE", Sequence: 1}, receipt)

	again := streamtest.Kept("{}") // the sender's retry
	again.ReceivedAt = again.ReceivedAt.Add(10 * time.Second)
	receipt, err = q.Keep(ctx, again)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Quarantined, Stream: "HOOKSPAN_QUARANTINE", Sequence: 1}, receipt)
	require.Equal(t, 1, sum(t, q, "hookspan_quarantined_total"))

	b.Stop()
	b = streamtest.StartIn(t, dir, streamtest.Config())
	got := walk(t, quarantine.NewKeptStore(b.JS, b.Names), adminapi.KeptSelection{})
	require.Len(t, got, 1)
	require.Equal(t, adminapi.KeptEntry{Place: "quarantine", Sequence: 1, KeptDelivery: *first}, got[0])
	receipt, err = quarantine.NewQuarantine(b.Publisher(), b.Names, &natstest.Alarms{}).Keep(ctx, again)
	require.NoError(t, err)
	require.EqualValues(t, 1, receipt.Sequence)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_QUARANTINE"))
}

// A delivery that was answered 200 is never discarded: a full quarantine refuses further ones,
// raises an alarm, and does not affect events.
func TestFullQuarantineRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config()) // 16 MiB of quarantine
	a := &natstest.Alarms{}
	q := quarantine.NewQuarantine(b.Publisher(), b.Names, a)
	stored := 0
	for {
		_, err := q.Keep(ctx, streamtest.Kept(fmt.Sprint(stored)+strings.Repeat("x", 1<<20)))
		if err != nil {
			require.ErrorIs(t, err, bridge.ErrFull)
			break
		}
		stored++
		require.Less(t, stored, 17)
	}
	require.EqualValues(t, stored, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	require.Equal(t, bridge.AlarmQuarantineFull, a.All()[0].Kind)
	_, err := b.Publisher().Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
}

func TestKeptStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	q := quarantine.NewQuarantine(b.Publisher(), b.Names, &natstest.Alarms{})
	for i := range 6 {
		w := streamtest.Kept(fmt.Sprint(i))
		if i%2 == 1 {
			w.Cause = "stale"
		}
		if i == 4 {
			w.Source = "other"
		}
		_, err := q.Keep(ctx, w)
		require.NoError(t, err)
	}
	s := quarantine.NewKeptStore(b.JS, b.Names)
	bodies := func(sel adminapi.KeptSelection) string {
		var out bytes.Buffer
		for _, e := range walk(t, s, sel) {
			out.Write(e.Body)
		}
		return out.String()
	}
	for want, sel := range map[string]adminapi.KeptSelection{
		"012345": {},
		"135":    {Cause: "stale"},
		"4":      {Source: "other"},
		"":       {Source: "nobody"},
		"35":     {Place: "quarantine", Cause: "stale", After: 2},
		"15":     {Place: "quarantine", Sequences: []uint64{6, 2, 99, 5}, Cause: "stale"},
	} {
		require.Equal(t, want, bodies(sel))
	}
	require.Empty(t, bodies(adminapi.KeptSelection{Place: "refused"}))

	require.NoError(t, s.Remove(ctx, "quarantine", 3))
	require.ErrorIs(t, s.Remove(ctx, "quarantine", 3), bridge.ErrNotFound)
	require.ErrorIs(t, s.Remove(ctx, "quarantine", 99), bridge.ErrNotFound)
	_, err := s.Get(ctx, "quarantine", 3)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	_, err = s.Get(ctx, "events", 1)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	e, err := s.Get(ctx, "quarantine", 5)
	require.NoError(t, err)
	require.Equal(t, "other", e.Source)
	require.Equal(t, "01345", bodies(adminapi.KeptSelection{}))
	causes, err := s.Causes(ctx)
	require.NoError(t, err)
	require.Equal(t, []adminapi.KeptCause{
		{Stream: "quarantine", Source: "get3w", Cause: "stale", Count: 3},
		{Stream: "quarantine", Source: "get3w", Cause: "no_id", Count: 1},
		{Stream: "quarantine", Source: "other", Cause: "no_id", Count: 1},
	}, causes.Causes)

	// A foreign message does not stop the walk, and is listed.
	_, err = b.JS.Publish(ctx, "hookspan.quarantine.get3w.own.words", []byte("foreign"))
	require.NoError(t, err)
	got := walk(t, s, adminapi.KeptSelection{Place: "quarantine", Sequences: []uint64{7}})
	require.Len(t, got, 1)
	require.True(t, got[0].Truncated)
	require.Contains(t, got[0].Detail, "not written by Hookspan")
}

// An unreadable message in the middle of the quarantine does not hide those behind it.
func TestKeptWalkGoesOnBehindDamage(t *testing.T) {
	t.Parallel()
	const count = 100
	dir, cfg := t.TempDir(), streamtest.Config()
	cfg.Streams.MaxBytes = 1 << 30
	b := streamtest.StartIn(t, dir, cfg)
	body := make([]byte, 200<<10)
	for range count { // several blocks of the store
		_, err := b.JS.PublishAsync(b.Names.Quarantine("get3w", "no_id"), body)
		require.NoError(t, err)
	}
	<-b.JS.PublishAsyncComplete()
	require.NoError(t, os.Remove(filepath.Join(dir, "nats", "jetstream", "HOOKSPAN", "streams", "HOOKSPAN_QUARANTINE", "msgs", "2.blk")))
	for _, sel := range []adminapi.KeptSelection{{Place: adminapi.PlaceQuarantine}, {Source: "get3w"}} {
		visited, last := 0, uint64(0)
		require.NoError(t, quarantine.NewKeptStore(b.JS, b.Names).Walk(t.Context(), sel, func(e adminapi.KeptEntry) error {
			visited++
			last = e.Sequence
			return nil
		}))
		require.Less(t, visited, count, "something is damaged")
		require.EqualValues(t, count, last)
	}
}
