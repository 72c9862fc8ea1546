package redelivery_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Unreadable messages in the middle of a stream do not end a walk: it visits the readable ones
// behind them.
func TestWalkGoesOnBehindDamage(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, f *os.File, size int64){
		"a byte": func(t *testing.T, f *os.File, size int64) {
			_, err := f.WriteAt([]byte{0}, size/2)
			require.NoError(t, err)
		},
		"an empty file":    func(t *testing.T, f *os.File, _ int64) { require.NoError(t, f.Truncate(0)) },
		"a truncated file": func(t *testing.T, f *os.File, size int64) { require.NoError(t, f.Truncate(size/2)) },
		"a lost file":      func(t *testing.T, f *os.File, _ int64) { require.NoError(t, os.Remove(f.Name())) },
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) { t.Parallel(); walkDamaged(t, restarted, harm) })
		}
	}
}

func walkDamaged(t *testing.T, restarted bool, harm func(t *testing.T, f *os.File, size int64)) {
	t.Helper()
	const count = 100
	ctx := context.Background()
	dir, cfg := t.TempDir(), streamtest.Config()
	cfg.Streams.MaxBytes = 1 << 30
	b := streamtest.StartIn(t, dir, cfg)
	ev := natstest.Event("a")
	deadLetter := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Subject: b.Names.Event(ev.Source, ev.Status, ev.Model)}
	body := bytes.Repeat([]byte("x"), 200<<10)
	for range count { // three blocks of the store
		_, err := b.JS.PublishMsgAsync(&nats.Msg{
			Subject: b.Names.Dead("team", deadLetter.Subject), Header: nats.Header(deadLetter.Header(ev.Header())), Data: body,
		})
		require.NoError(t, err)
	}
	<-b.JS.PublishAsyncComplete()
	if restarted {
		b.Stop()
	}
	f, err := os.OpenFile(filepath.Join(dir, "nats", "jetstream", "HOOKSPAN", "streams", "HOOKSPAN_DEAD", "msgs", "2.blk"), os.O_RDWR, 0)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	harm(t, f, info.Size())
	require.NoError(t, f.Close())
	if restarted {
		b = streamtest.StartIn(t, dir, cfg)
	}
	stream, err := b.JS.Stream(ctx, "HOOKSPAN_DEAD")
	require.NoError(t, err)
	readable := 0
	for seq := uint64(1); seq <= count; seq++ {
		if _, err := stream.GetMsg(ctx, seq); err == nil {
			readable++
		}
	}
	require.Less(t, readable, count, "something is damaged")
	visited, last := 0, uint64(0)
	require.NoError(t, redelivery.NewDeadLetters(b.JS, b.Names).Scan(ctx, adminapi.DeadSelection{Consumer: "team"}, func(e adminapi.DeadEntry, selected bool) error {
		require.True(t, selected)
		visited++
		last = e.Sequence
		return nil
	}))
	require.Equal(t, readable, visited)
	require.EqualValues(t, count, last)
}
