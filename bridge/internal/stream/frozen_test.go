package stream_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/needs"
)

func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	needs.Root(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("hookspan", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill leaves only that much room.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	// In pieces, since the server may write meanwhile.
	for offset, size := int64(0), int64(16<<20); size >= 4096; {
		var fs unix.Statfs_t
		require.NoError(t, unix.Statfs(filepath.Dir(path), &fs))
		if int64(fs.Bavail)*fs.Bsize-size < leave || unix.Fallocate(int(f.Fd()), 0, offset, size) != nil {
			size /= 2
			continue
		}
		offset += size
	}
	require.NoError(t, f.Close())
}

// A server whose disk was full stays dead when the disk has room again; it must come back
// without a restart of the process.
func TestFrozenServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 64<<20)
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	b := streamtest.StartIn(t, dir, cfg)
	url := b.Server.URL()
	ctx, stop := context.WithCancel(context.Background())
	alarms, done := &natstest.Alarms{}, make(chan error, 1)
	core, logs := observer.New(zap.InfoLevel)
	go func() { done <- b.Server.Watch(ctx, alarms, zap.New(core)) }()
	defer func() {
		stop()
		require.NoError(t, <-done)
	}()

	pub := b.Publisher()
	publish := func(id string) (bridge.Receipt, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		e := natstest.Event(id)
		e.Body = make([]byte, 100_000)
		return pub.Publish(ctx, e)
	}
	st, err := b.JS.Stream(ctx, b.Names.EventsStream())
	require.NoError(t, err)
	durable, err := st.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * time.Second})
	require.NoError(t, err)
	reader, err := durable.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(2*time.Second))
	require.NoError(t, err)
	defer reader.Stop()
	var acked []string
	send := func(id string) error {
		_, err := publish(id)
		if err == nil {
			acked = append(acked, id)
		}
		return err
	}
	for i := range 20 {
		require.NoError(t, send(fmt.Sprintf("pred_%d", i)))
	}

	filler := filepath.Join(dir, "filler")
	fill(t, filler, 1<<20)
	for i := 20; err == nil && i < 100; i++ {
		err = send(fmt.Sprintf("pred_%d", i))
	}
	require.ErrorIs(t, err, bridge.ErrUnknown)
	require.Eventually(t, func() bool { return len(alarms.Of(bridge.AlarmStoreFrozen)) > 0 }, patience, 10*time.Millisecond)

	// Room for less than the server needs does not count as healed.
	require.NoError(t, os.Remove(filler))
	fill(t, filler, 6<<20)
	waiting := logs.FilterMessage("the event store is still frozen").Len()
	require.Eventually(t, func() bool {
		return logs.FilterMessage("the event store is still frozen").Len() > waiting+1
	}, patience, 10*time.Millisecond)
	require.Zero(t, logs.FilterMessage("the event store was frozen and has been started again").Len())

	// A failed start does not end the attempts.
	accounts := b.Server.SwapAccounts("nonsense {")
	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool {
		return logs.FilterMessageSnippet("could not be started again").Len() > 0
	}, patience, 10*time.Millisecond)
	require.Error(t, send("pred_not_now"))
	b.Server.SwapAccounts(accounts)

	require.Eventually(t, func() bool { return send("pred_after") == nil }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return alarms.Cleared(bridge.AlarmStoreFrozen) }, patience, 10*time.Millisecond)
	require.Equal(t, url, b.Server.URL())
	nc, _ := app(t, b)
	require.Equal(t, url, nc.ConnectedUrl(), "on the same port")

	have := map[string]bool{}
	state, err := st.Info(ctx)
	require.NoError(t, err)
	for seq := state.State.FirstSeq; seq <= state.State.LastSeq; seq++ {
		m, err := st.GetMsg(ctx, seq)
		require.NoError(t, err)
		e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
		require.NoError(t, err)
		have[e.PredictionID] = true
	}
	// The same reader goes on; events on their way to it come again.
	for read := map[string]bool{}; len(read) < len(have); {
		m, err := reader.Next()
		if err != nil {
			continue // the connection was away
		}
		read[m.Headers().Get(bridge.HeaderMsgID)] = true
		require.NoError(t, m.DoubleAck(ctx))
	}
	for _, id := range acked {
		require.True(t, have[id], "%s was acknowledged; there are %v", id, have)
		receipt, err := publish(id)
		require.NoError(t, err)
		require.Equal(t, bridge.Duplicate, receipt.Result, id)
	}
	_, err = datafolder.Open(dir)
	require.ErrorIs(t, err, datafolder.ErrInUse, "the lock was never given up")
}
