package stream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// A full spool has no room for the copy of a message that is set aside. That must delay neither
// its other messages nor, since NATS is well, new ones.
func TestDrainOfAFullSpoolPassesWhatNATSNeverTakes(t *testing.T) {
	t.Parallel()
	const limit = 2 << 20
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = limit })
	dir := t.TempDir()
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	publish := func(id string, size int) error {
		e := natstest.Event(id)
		e.Body = make([]byte, size)
		_, err := r.Publish(context.Background(), e)
		return err
	}
	require.NoError(t, publish("big", limit))
	sent := 0
	for publish(fmt.Sprint("pred_", sent), 1<<20) == nil {
		sent++
	}
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == 1
	}, patience, 10*time.Millisecond)
	require.Len(t, stored(t, x.JetStream()), sent)
	require.Contains(t, r.alarms.Kinds(), bridge.AlarmSpoolStuck)
	require.True(t, r.Available())
	require.Equal(t, bridge.Stored, r.publish(t, "meanwhile"))

	r.close()
	x2 := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = 2 * limit })
	x2.Start()
	streamtest.Provision(t, x2, streams.Config{MaxBytes: 64 << 20})
	r = startRelay(t, dir, x2.URL(), stream.RelayConfig{})
	r.requireEmpty(t)
	require.Equal(t, []string{"big"}, ids(stored(t, x2.JetStream())))
}

// Stored messages leave the spool although the rest of their block cannot be stored: later
// their ids may be forgotten.
func TestDrainRemovesWhatIsStoredOfABlock(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := t.TempDir()
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	const sent, size = 6, 512 << 10 // of a block's 8 MiB
	for i := range sent {
		e := natstest.Event(fmt.Sprint("pred_", i))
		e.Body = make([]byte, size)
		_, err := r.Publish(context.Background(), e)
		require.NoError(t, err)
	}
	r.close() // the next process reads them as one block
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 4 * size})
	r = startRelay(t, dir, x.URL(), stream.RelayConfig{})
	const fit = 3 // a message is a little more than its body
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == sent-fit
	}, patience, 10*time.Millisecond)
	require.Len(t, stored(t, x.JetStream()), fit)
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r.requireEmpty(t)
	require.Len(t, stored(t, x.JetStream()), sent)
}
