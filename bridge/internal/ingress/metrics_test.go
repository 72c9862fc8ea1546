package ingress

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	b, finish := occupied(t, Config{})
	registry := prometheus.NewPedanticRegistry()
	for _, c := range b.Collectors() {
		require.NoError(t, registry.Register(c))
	}
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP hookspan_in_flight_bytes Bytes of bodies that are reserved.
# TYPE hookspan_in_flight_bytes gauge
hookspan_in_flight_bytes 4096
# HELP hookspan_in_flight_requests Deliveries whose body is arriving, and those that are worked on; each is bounded by ingress.max_in_flight.
# TYPE hookspan_in_flight_requests gauge
hookspan_in_flight_requests{stage="arriving"} 0
hookspan_in_flight_requests{stage="working"} 1
# HELP hookspan_connections Open connections of senders.
# TYPE hookspan_connections gauge
hookspan_connections 1
`), "hookspan_in_flight_bytes", "hookspan_in_flight_requests", "hookspan_connections"))
	finish()
	for path, text := range map[string]string{
		"/webhooks/get3w":                  body("second"),
		"/webhooks/mute":                   body("x"),
		"/webhooks/nobody-" + secret:       body("x"),
		"/webhooks/guarded/" + token + "x": body("x"),
	} {
		do(t, request(t, b.url+path, text))
	}
	r, err := http.NewRequest(http.MethodGet, b.url+"/webhooks/get3w", nil)
	require.NoError(t, err)
	require.Equal(t, 405, do(t, r).status, "which is no delivery")
	require.NoError(t, b.stop())
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP hookspan_deliveries_total Deliveries answered, by what became of them: stored, duplicate, spooled, quarantined, or the cause of the refusal.
# TYPE hookspan_deliveries_total counter
hookspan_deliveries_total{result="not_authentic",source="guarded"} 1
hookspan_deliveries_total{result="not_authentic",source="mute"} 1
hookspan_deliveries_total{result="stored",source="get3w"} 2
hookspan_deliveries_total{result="unknown_source",source="unknown"} 1
`), "hookspan_deliveries_total"))
	require.Equal(t, 2, testutil.CollectAndCount(b.metrics.answers, "hookspan_answer_seconds"))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// Sources come and go while requests are answered.
func TestSetRoutes(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	routes := *b.routes.Load()
	b.SetRoutes([]Route{routes["mute"]})
	require.Equal(t, 404, do(t, request(t, b.url+"/webhooks/get3w", body("a"))).status)
	require.Equal(t, 401, do(t, request(t, b.url+"/webhooks/mute", body("a"))).status)
	b.SetRoutes([]Route{routes["get3w"], routes["guarded"]})
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("a"))).status)
	require.Equal(t, 404, do(t, request(t, b.url+"/webhooks/mute", body("a"))).status)
}
