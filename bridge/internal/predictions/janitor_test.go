package predictions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/housekeeping"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

// Events that are not folded yet stay in a crowded stream; folded ones go.
func TestJanitorWaitsForThePredictionStore(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 2 << 20
	r := rigOn(t, streamtest.Start(t, cfg))
	r.start("one", r.store).stop() // makes the durable
	require.NoError(t, Provision(t.Context(), r.JS, r.Names))
	body := strings.Repeat("x", 8<<10)
	first := func() uint64 {
		stream, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
		require.NoError(t, err)
		return stream.CachedInfo().State.FirstSeq
	}
	for n := range 205 { // some 85 %
		r.publish(r.says(fmt.Sprint(n), `"status":"processing","log":"`+body+`"`))
	}
	j := housekeeping.NewJanitor(r.JS, housekeeping.JanitorConfig{Names: r.Names, Young: time.Nanosecond, Alarms: r.heard, Logger: zap.NewNop()})
	require.NoError(t, j.Tick(t.Context()))
	require.EqualValues(t, 1, first())
	p := r.start("two", r.store)
	r.folded(p)
	r.eventually(func() bool { // the acknowledgement is on its way
		require.NoError(t, j.Tick(t.Context()))
		return first() > 1
	})
	require.Empty(t, r.heard.Kinds())
	require.Len(t, r.all("entry"), 205)
}
