package stream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
)

// Blocks that were begun before the stream was known have no floor: what the stream has of them
// may lie before what it acknowledged later.
func TestFloorOfBlocksBeforeTheStreamWasKnown(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), journal.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	f := NewForwarder(j, NewPublisher(nil, bridge.Names{}), nil, ForwarderConfig{Cluster: true}, bridge.NoAlarms{}, zap.NewNop())
	begin := func(seq uint64) *block {
		return f.begin([]journal.Record{{Sequence: seq, Stream: "HOOKSPAN_EVENTS"}}, seq)
	}
	first, second := begin(1), begin(2)
	f.learned(&jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "HOOKSPAN_EVENTS"}, Created: time.Unix(1, 0), State: jetstream.StreamState{LastSeq: 100}})
	f.advance(second, "HOOKSPAN_EVENTS", 102) // 101 is the first one's, whose answer is lost
	_, known := f.floor("HOOKSPAN_EVENTS")
	require.False(t, known)
	f.mu.Lock()
	require.Empty(t, f.floors())
	f.mu.Unlock()
	f.finish(first)
	f.finish(second)
	third := begin(3)
	f.advance(third, "HOOKSPAN_EVENTS", 103)
	floor, known := f.floor("HOOKSPAN_EVENTS")
	require.True(t, known)
	require.EqualValues(t, 102, floor)
}
