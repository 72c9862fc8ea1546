package streamread_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// A request that nobody answers ends long before the reading may: whoever reads for minutes makes
// another one.
func TestReaderOfASilentServer(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, func(o *server.Options) { o.JetStream = false })
	x.Start()
	nc, err := nats.Connect(x.URL())
	require.NoError(t, err)
	defer nc.Close()
	_, err = nc.SubscribeSync("$JS.API.>") // it has the requests and answers none
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = streamread.NewReader(t.Context(), js, streamread.ReaderConfig{Stream: "S"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, t.Context().Err())
}
