package ingress

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The deliveries of one fsync end together: the moment without any does not make the process
// idle. Fewer at once than a burst do not make it busy.
func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := &intake{maxRequests: 2 * busyFrom, maxBytes: 1 << 20, maxBody: 1 << 10}
		work := func(n int) (end func()) {
			var all []*incoming
			for range n {
				b := in.begin(strings.NewReader(""), 0, func() {}, func() {})
				require.NoError(t, b.arrived())
				all = append(all, b)
			}
			return func() {
				for _, b := range all {
					b.end()
				}
			}
		}
		require.False(t, in.busy())
		work(busyFrom - 1)()
		require.False(t, in.busy())
		work(busyFrom)()
		require.True(t, in.busy())
		<-time.After(busyFor)
		require.False(t, in.busy())
	})
}
