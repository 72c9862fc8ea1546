package admin

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

const (
	metricsTimeout  = 10 * time.Second
	metricsInFlight = 8
)

// livez checks nothing beyond the process: a restart does not bring back a store that is
// away.
func livez(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readiness is the body of /readyz as JSON.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
}

func (s *Server) readyz(c echo.Context) error {
	r := readiness{Reasons: s.checks.Reasons()}
	r.Ready = len(r.Reasons) == 0
	status, text := http.StatusOK, "ready\n"
	if !r.Ready {
		status, text = http.StatusServiceUnavailable, "not ready\n- "+strings.Join(r.Reasons, "\n- ")+"\n"
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	if c.QueryParam("format") == "json" || accepts(c.Request(), echo.MIMEApplicationJSON) {
		return c.JSON(status, r)
	}
	return c.String(status, text)
}

// accepts reports whether the request's Accept names the media type.
func accepts(r *http.Request, mediaType string) bool {
	for wanted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if name, _, err := mime.ParseMediaType(wanted); err == nil && name == mediaType {
			return true
		}
	}
	return false
}

// serveMetrics serves whatever can be gathered: a collector that fails must not hide the
// others.
func serveMetrics(metrics prometheus.Gatherer, log *zap.Logger) echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:            zap.NewStdLog(log.Named("metrics")),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: metricsInFlight,
		Timeout:             metricsTimeout,
		DisableCompression:  true, // it takes as long as everything else
	}))
}
