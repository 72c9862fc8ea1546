package consumers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("fine", "refused", "again")
	inFlight := make(chan float64, 4)
	var c *Consumer
	tried := 0
	handler := HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		inFlight <- testutil.ToFloat64(c.metrics.inFlight)
		switch ev.PredictionID {
		case "refused":
			return Refused(errors.New("not wanted"))
		case "again":
			if tried++; tried == 1 {
				return errors.New("not yet")
			}
		}
		return nil
	})
	registry := prometheus.NewPedanticRegistry()
	b.runTuned(handler, Config{Retry: fast}, func(made *Consumer) {
		c = made
		for _, collector := range c.Collectors() {
			require.NoError(t, registry.Register(collector))
		}
	})
	for range 4 {
		require.InDelta(t, 1, next(t, inFlight), 0)
	}
	b.eventually(func() bool { return testutil.ToFloat64(c.metrics.attempts.WithLabelValues("done")) == 2 }, "two events are done")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP hookspan_consumer_attempts_total Calls of the handler in this process, by their verdict.
# TYPE hookspan_consumer_attempts_total counter
hookspan_consumer_attempts_total{consumer="team",verdict="dead"} 1
hookspan_consumer_attempts_total{consumer="team",verdict="done"} 2
hookspan_consumer_attempts_total{consumer="team",verdict="given_back"} 0
hookspan_consumer_attempts_total{consumer="team",verdict="left"} 0
hookspan_consumer_attempts_total{consumer="team",verdict="retry"} 1
hookspan_consumer_attempts_total{consumer="team",verdict="snoozed"} 0
# HELP hookspan_consumer_dead_letters_total Dead letters that this process made, by their cause.
# TYPE hookspan_consumer_dead_letters_total counter
hookspan_consumer_dead_letters_total{cause="conflict",consumer="team"} 0
hookspan_consumer_dead_letters_total{cause="exhausted",consumer="team"} 0
hookspan_consumer_dead_letters_total{cause="permanent",consumer="team"} 0
hookspan_consumer_dead_letters_total{cause="poison",consumer="team"} 0
hookspan_consumer_dead_letters_total{cause="refused",consumer="team"} 1
hookspan_consumer_dead_letters_total{cause="undecodable",consumer="team"} 0
`), "hookspan_consumer_attempts_total", "hookspan_consumer_dead_letters_total"))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "hookspan_consumer_handler_seconds" {
			require.EqualValues(t, 4, f.Metric[0].Histogram.GetSampleCount())
		}
	}
}
