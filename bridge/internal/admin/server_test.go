package admin_test

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

func TestReadyzSaysEachReason(t *testing.T) {
	var away, stopping atomic.Bool
	s := start(t, "127.0.0.1:0",
		func() string {
			if away.Load() {
				return "NATS cannot be reached"
			}
			return ""
		},
		func() string {
			if stopping.Load() {
				return "shutting down"
			}
			return ""
		})
	a := get(t, s, "/readyz")
	require.Equal(t, 200, a.status)
	require.Equal(t, "ready\n", a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.JSONEq(t, `{"ready":true,"reasons":[]}`, get(t, s, "/readyz?format=json").body)

	away.Store(true)
	stopping.Store(true)
	a = get(t, s, "/readyz")
	require.Equal(t, 503, a.status)
	require.Equal(t, "not ready\n- NATS cannot be reached\n- shutting down\n", a.body)
	for _, a := range []answer{
		get(t, s, "/readyz?format=json"),
		do(t, s, http.MethodGet, "/readyz", "", map[string]string{"Accept": "text/html, application/json;q=0.9"}),
	} {
		require.Equal(t, 503, a.status)
		require.JSONEq(t, `{"ready":false,"reasons":["NATS cannot be reached","shutting down"]}`, a.body)
	}
	require.Equal(t, 200, get(t, s, "/livez").status, "it lives, whatever it cannot do")
	require.Equal(t, 200, do(t, s, http.MethodHead, "/livez", "", nil).status)
}

func TestRoutesAndMethods(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	require.Equal(t, 200, get(t, s, "/metrics").status)
	for _, path := range []string{"/", "/livez/", "/debug/pprof/", "/webhooks/get3w", "/apis"} {
		a := get(t, s, path)
		require.Equal(t, 404, a.status, path)
		a.detail(t)
	}
	require.Equal(t, 405, do(t, s, http.MethodPost, "/livez", "", nil).status)
}

// A collector that fails or panics loses only its own metrics.
func TestMetricsOutliveACollector(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "good", Help: "x"}), broken{})
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: reg}, zap.NewNop())
	require.NoError(t, err)
	run(t, s)
	a := get(t, s, "/metrics")
	require.Equal(t, 200, a.status)
	require.Contains(t, a.body, "good 0")
}

type broken struct{}

func (broken) Describe(c chan<- *prometheus.Desc) {
	c <- prometheus.NewDesc("broken", "x", nil, nil)
}

func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "x", nil, nil), net.ErrClosed)
}

// A configured port must be free; the default one may be replaced.
func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, err = admin.New(admin.Config{Listen: taken.Addr().String()}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.ErrorContains(t, err, "choose another one with admin.listen")

	var servers []*admin.Server
	for range 2 {
		s, err := admin.New(admin.Config{Listen: taken.Addr().String(), FreePort: true}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
		require.NoError(t, err)
		require.True(t, s.Addr().(*net.TCPAddr).IP.IsLoopback())
		servers = append(servers, s)
	}
	require.NotEqual(t, servers[0].Addr().String(), servers[1].Addr().String())
	for _, s := range servers {
		require.NoError(t, s.Close())
	}
}
