package stream

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
)

// What forwarding does for traces allocates nothing while none are sent.
func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	f, b, r := &Forwarder{}, &block{}, &journal.Record{Stream: "HOOKSPAN_EVENTS"}
	require.Zero(t, testing.AllocsPerRun(100, func() { f.trace(b, r, bridge.Receipt{Result: bridge.Stored}) }))
}
