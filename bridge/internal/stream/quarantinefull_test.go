package stream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// With an external NATS, a full quarantine delays no event, neither by the breaker nor by the
// spool, which gets none of its messages while NATS answers.
func TestFullQuarantineHoldsUpNoEvent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	url := x.URL()
	r := startRelay(t, t.TempDir(), url, stream.RelayConfig{})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	q := quarantine.NewQuarantine(r.Relay, bridge.Names{}, r.alarms)
	big := strings.Repeat("x", 900<<10)
	var err error
	for i := 0; err == nil; i++ {
		_, err = q.Keep(ctx, streamtest.Kept(fmt.Sprint(i)+big))
	}
	require.ErrorIs(t, err, bridge.ErrFull)
	for i := range 20 {
		_, err = q.Keep(ctx, streamtest.Kept(fmt.Sprint("more", i)+big))
		require.ErrorIs(t, err, bridge.ErrFull)
	}
	require.Equal(t, bridge.Stored, r.publish(t, "beside"), "the breaker must not have opened")
	r.requireEmpty(t)
	require.NotContains(t, r.alarms.Kinds(), bridge.AlarmSpoolStuck)

	// Messages spooled while NATS was away are set aside when they do not fit.
	x.Stop()
	receipt, err := q.Keep(ctx, streamtest.Kept("away"+big))
	require.NoError(t, err)
	require.Equal(t, bridge.Quarantined, receipt.Result)
	require.Equal(t, bridge.Spooled, r.publish(t, "behind"))
	x.Start()
	require.Eventually(t, func() bool {
		state, err := r.spool.State(ctx)
		return err == nil && state.Messages == 1 && state.Stuck == 1
	}, patience, 10*time.Millisecond)
	require.Equal(t, []string{"beside", "behind"}, ids(stored(t, x.JetStream())))
	require.Contains(t, r.alarms.Kinds(), bridge.AlarmSpoolStuck)
}
