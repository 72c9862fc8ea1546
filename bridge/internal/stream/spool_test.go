package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// Messages that are set aside can be read although the last spooled one is gone.
func TestSpoolIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = limit })
	r := startRelay(t, t.TempDir(), x.URL(), stream.RelayConfig{Local: true})
	big := natstest.Event("big")
	big.Body = make([]byte, limit)
	_, err := r.Publish(context.Background(), big)
	require.NoError(t, err)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == 1 && state.Stuck == 1
	}, patience, 10*time.Millisecond)
	require.Equal(t, bridge.Spooled, r.publish(t, "after"))
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == 1 && state.Stuck == 1
	}, patience, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen []string
	require.NoError(t, r.spool.Each(ctx, func(m stream.SpooledMessage) error {
		seen = append(seen, m.Subject)
		return nil
	}))
	require.Len(t, seen, 1)
}

// Nothing would look for messages under another prefix.
func TestSpoolOfAnotherPrefixIsNotForgotten(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	require.Equal(t, bridge.Spooled, r.publish(t, "pred_1"))
	r.close()

	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	other := stream.SpoolConfig{Names: bridge.Names{Prefix: "other"}, MaxBytes: 32 << 20}
	_, err = stream.OpenSpool(ctx, folder, other, zap.NewNop())
	require.ErrorContains(t, err, "HOOKSPAN_SPOOL")
	_, err = stream.OpenSpool(ctx, folder, stream.SpoolConfig{MaxBytes: 64}, zap.NewNop())
	require.ErrorContains(t, err, "nats.spool.max_bytes")
	require.NoError(t, folder.Close())

	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r = startRelay(t, dir, x.URL(), stream.RelayConfig{})
	r.requireEmpty(t)
	r.close()
	folder, err = datafolder.Open(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, folder.Close()) }()
	spool, err := stream.OpenSpool(ctx, folder, other, zap.NewNop())
	require.NoError(t, err)
	spool.Close()
}
