package stream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// Messages that a killed process had stored and not yet purged are stored once.
func TestDrainRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	for i := range 10 {
		require.Equal(t, bridge.Spooled, r.publish(t, fmt.Sprint("pred_", i)))
	}
	r.close()
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p := stream.NewPublisher(x.JetStream(), bridge.Names{})
	defer p.Close()
	p.SetFit(true)
	for i := range 7 {
		_, err := p.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i)))
		require.NoError(t, err)
	}
	r = startRelay(t, dir, x.URL(), stream.RelayConfig{})
	r.requireEmpty(t)
	require.Len(t, stored(t, x.JetStream()), 10)
}

// A spool whose server is restarted is filled and drained as before.
func TestDrainGoesOnAfterTheSpoolWasRestarted(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, t.TempDir(), x.URL(), stream.RelayConfig{Local: true})
	require.Equal(t, bridge.Spooled, r.publish(t, "waiting"))
	require.NoError(t, r.spool.Restart(context.Background()))
	spools := func(id string) func() bool {
		return func() bool {
			_, err := r.Publish(context.Background(), natstest.Event(id))
			return err == nil
		}
	}
	require.Eventually(t, spools("away"), patience, 10*time.Millisecond)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r.requireEmpty(t)
	require.NoError(t, r.spool.Restart(context.Background())) // nothing can be read
	require.Eventually(t, spools("after"), patience, 10*time.Millisecond)
	r.requireEmpty(t)
	require.Equal(t, []string{"waiting", "away", "after"}, ids(stored(t, x.JetStream())))
}
