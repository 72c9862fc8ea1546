package housekeeping

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Events that were erased are no loss, at the beginning of the stream or within it, whenever they
// go after it is known; what goes beside them is one.
func TestErasedEventsAreNoLoss(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, 20, completed)
	alarms, total := &natstest.Alarms{}, &atomic.Uint64{}
	a := auditor(t, b, &paper{}, alarms)
	a.cfg.Erased = total.Load
	audit := func() []string {
		a.Audit(t.Context())
		return natstest.KindsOf(alarms.Take())
	}
	remove := func(sequences ...uint64) {
		for _, seq := range sequences {
			require.NoError(t, streamOf(t, b, events).SecureDeleteMsg(t.Context(), seq))
		}
	}
	require.Empty(t, audit())
	total.Store(3)
	require.Empty(t, audit())
	remove(5, 6)
	require.Empty(t, audit())
	remove(7)
	require.Empty(t, audit())
	total.Store(4)
	remove(1)
	require.Empty(t, audit())

	scrub := func(erased func(uint64) bool) []string {
		s := NewScrub(b.JS, a.checkpoint, ScrubConfig{
			Streams: []string{events}, Kept: []string{events}, Erased: erased, BytesPerSecond: 1 << 30, Alarms: alarms, Logger: zap.NewNop(),
		})
		require.NoError(t, s.Pass(t.Context(), events))
		return natstest.KindsOf(alarms.Take())
	}
	require.Empty(t, scrub(func(seq uint64) bool { return seq == 1 || seq >= 5 && seq <= 7 }))
	require.Equal(t, []string{bridge.AlarmStoreMissing}, scrub(func(seq uint64) bool { return seq == 5 || seq == 6 }))

	// The one at the beginning is not missed, and explains another one only for a while.
	a.checkpoint.change(func(p *content) {
		s := p.Streams[events]
		s.ErasingSince = time.Now().Add(-2 * eraseTime)
		p.Streams[events] = s
	})
	require.Empty(t, audit())
	remove(11)
	require.Equal(t, []string{bridge.AlarmStoreMissing}, audit())
}
