package waitbudget_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/waitbudget"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoom(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := natstest.Start(t)
	stream, err := b.JS.Stream(ctx, "HOOKSPAN_LATER")
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	limit := func(text string) {
		cfg.Metadata[bridge.LaterLimitKey] = text
		_, err = b.JS.UpdateStream(ctx, cfg)
		require.NoError(t, err)
	}
	limit("100")
	room := waitbudget.NewRoom(b.JS, b.Names)
	require.NoError(t, room.Take(ctx, 60))
	require.ErrorIs(t, room.Take(ctx, 41), waitbudget.ErrNoRoom, "what was taken since the last look counts")
	require.NoError(t, room.Take(ctx, 40))
	limit("none")
	require.NoError(t, waitbudget.NewRoom(b.JS, b.Names).Take(ctx, 1<<30))
	require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_LATER"))
	require.ErrorIs(t, waitbudget.NewRoom(b.JS, b.Names).Take(ctx, 1), jetstream.ErrStreamNotFound)
}
