package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/needs"
)

// A stream that somebody removes is made again as soon as a webhook misses it, not at the next
// look half a minute later; it is an alarm, and what came meanwhile is kept.
func TestStreamRemovedUnderTheBridge(t *testing.T) {
	t.Parallel()
	external := natstest.NewExternal(t, nil)
	external.Start()
	p := serveHere(t, externalConfig(external))
	js := external.JetStream()
	ctx := context.Background()
	status, text := p.post(killBody("first"))
	require.Equal(t, 200, status, text)
	one := func() bool {
		stream, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
		return err == nil && stream.CachedInfo().State.Msgs == 1
	}
	require.Eventually(t, one, patience, 10*time.Millisecond, p.logs)

	require.NoError(t, js.DeleteStream(ctx, "HOOKSPAN_EVENTS"))
	status, text = p.post(killBody("second"))
	require.Equal(t, 200, status, text)
	require.Eventually(t, one, patience/2, 10*time.Millisecond, "the streams are looked at every 30 s, and at once after such a publish: %s", p.logs)
	require.Eventually(t, func() bool {
		stream, err := js.Stream(ctx, "HOOKSPAN_ALARMS")
		if err != nil {
			return false
		}
		_, err = stream.GetLastMsgForSubject(ctx, "hookspan.alarms.stream_removed")
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
}

// Messages that the store lost while no bridge ran are reported at the next start.
func TestLossIsFoundAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	for i := range 20 {
		status, text := p.post(killBody(fmt.Sprintf("pred_%d", i)))
		require.Equal(t, 200, status, text)
	}
	require.Equal(t, 0, p.stop())
	block := filepath.Join(dir, "hookspan-data", "nats", "jetstream", "HOOKSPAN", "streams", "HOOKSPAN_EVENTS", "msgs", "1.blk")
	info, err := os.Stat(block)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(block, info.Size()/2))
	p = serve(t, dir, smallConfig)
	require.Eventually(t, func() bool { return strings.Contains(p.logs.String(), `"alarm":"store_missing"`) }, patience, 10*time.Millisecond, p.logs)
	status, text := p.post(killBody("later"))
	require.Equal(t, 200, status, text)
	require.Equal(t, 0, p.stop(), p.logs)
}

// A full disk stops the embedded server for good; with room again the bridge
// accepts webhooks without a restart.
func TestBridgeOutlivesAFullDisk(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("hookspan", dir, "tmpfs", 0, "size=64m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	p := serve(t, dir, smallConfig)
	status, text := p.post(killBody("early"))
	require.Equal(t, 200, status, text)

	filler, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	// The filler takes the last page too, while the bridge still writes.
	for offset, size := int64(0), int64(16<<20); size >= 4096; {
		if err := unix.Fallocate(int(filler.Fd()), 0, offset, size); err != nil {
			size /= 2
			continue
		}
		offset += size
	}
	require.NoError(t, filler.Close())
	pad := `"pad":"` + strings.Repeat("x", 60_000) + `","id"` // the journal has a segment of 8 MiB already
	n := 0
	for ; status == 200; n++ {
		require.Less(t, n, 1000)
		status, _ = p.post(strings.Replace(killBody(fmt.Sprintf("pred_%d", n)), `"id"`, pad, 1))
	}
	require.Equal(t, 503, status)
	require.Eventually(t, func() bool { return strings.Contains(p.logs.String(), `"alarm":"store_frozen"`) }, patience, 10*time.Millisecond, p.logs)

	p.becomes(503, "cannot write to its disk")

	require.NoError(t, os.Remove(filler.Name()))
	require.Eventually(t, func() bool {
		status, _ = p.post(killBody("late"))
		return status == 200
	}, patience, 100*time.Millisecond, p.logs)
	p.becomes(200, "")
	_, metrics := p.admin("/metrics")
	require.Contains(t, metrics, `hookspan_alarms_total{kind="store_frozen"}`)
	require.Contains(t, metrics, `hookspan_stream_seconds_until_full{stream="HOOKSPAN_EVENTS"}`)
	_, text = p.post(killBody("early"))
	require.Contains(t, text, `"duplicate"`)
	require.Equal(t, 0, p.stop(), p.logs)
}
