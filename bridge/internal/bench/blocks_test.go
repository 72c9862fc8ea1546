package main

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/streams"
)

// TestBlocksAreWhatTheServerReads: the format is the server's own affair, which a
// new version may change.
func TestBlocksAreWhatTheServerReads(t *testing.T) {
	const count = 10_000 // more than one block
	dir := t.TempDir()
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	serve := func(use func(context.Context, jetstream.JetStream)) {
		server, err := stream.StartEmbedded(folder, stream.EmbeddedConfig{Listen: stream.ListenNone}, zap.NewNop())
		require.NoError(t, err)
		defer server.Close()
		nc, err := server.Connect("test", zap.NewNop())
		require.NoError(t, err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		use(t.Context(), js)
	}
	serve(func(ctx context.Context, js jetstream.JetStream) {
		require.NoError(t, stream.Provision(ctx, js, streams.Config{}, zap.NewNop()))
	})
	m, err := failedMessage()
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, replaceBlocks(dir, eventsStream(), m, count, now.Add(-storedFirst), now.Add(-storedLast)))
	serve(func(ctx context.Context, js jetstream.JetStream) {
		stream, err := js.Stream(ctx, eventsStream())
		require.NoError(t, err)
		state := stream.CachedInfo().State
		require.Equal(t, uint64(count), state.Msgs)
		require.Equal(t, uint64(count), state.LastSeq)
		require.WithinRange(t, state.LastTime, now.Add(-storedLast-time.Minute), now.Add(-storedLast+time.Minute))
		for _, seq := range []uint64{1, 5_000, count} {
			got, err := stream.GetMsg(ctx, seq)
			require.NoError(t, err)
			require.Equal(t, m.Data, got.Data)
			for key, values := range m.Header {
				require.Equal(t, values, got.Header[key], key)
			}
			require.Equal(t, m.Subject, got.Subject)
		}
	})
}

func TestBatcherStoresEach(t *testing.T) {
	r, err := newRig(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	ctx, stop := context.WithCancel(t.Context())
	b, done := newBatcher(r.bare), make(chan struct{})
	go func() { defer close(done); b.run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	const count = 500
	failed := make(chan error, count)
	for i := range count {
		go func() {
			failed <- b.publish(ctx, &nats.Msg{
				Subject: r.names.Event(sourceName, "failed", "m"), Data: []byte(strconv.Itoa(i)),
				Header: nats.Header{"Nats-Msg-Id": {strconv.Itoa(i)}},
			})
		}()
	}
	for range count {
		require.NoError(t, <-failed)
	}
	stream, err := r.bare.Stream(ctx, eventsStream())
	require.NoError(t, err)
	require.Equal(t, uint64(count), stream.CachedInfo().State.Msgs)
}
