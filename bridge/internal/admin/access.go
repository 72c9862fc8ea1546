package admin

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Why a request was refused: values of a metric's label.
const (
	refusedHost     = "host"      // by a name that is not the listener's
	refusedOrigin   = "origin"    // from a page of another site
	refusedNoTokens = "no_tokens" // none are configured, and the address is not loopback
	refusedToken    = "token"     // without a token, or with one that is none
	refusedLimited  = "limited"   // too many wrong tokens came from its address
	refusedScope    = "scope"     // the token may not do that
)

func newRefusals() *prometheus.CounterVec {
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_admin_refused_total",
		Help: "Requests to the admin listener that were refused, by reason: host, origin, no_tokens, token, limited, scope.",
	}, []string{"reason"})
	for _, reason := range []string{refusedHost, refusedOrigin, refusedNoTokens, refusedToken, refusedLimited, refusedScope} {
		refusals.WithLabelValues(reason) // exports a zero before the first one
	}
	return refusals
}

// Collectors returns the metrics.
func (s *Server) Collectors() []prometheus.Collector { return []prometheus.Collector{s.refusals} }

// refuse counts a refusal and returns its error.
func (s *Server) refuse(reason string, err error) error {
	s.refusals.WithLabelValues(reason).Inc()
	return err
}

var (
	errHost = echo.NewHTTPError(http.StatusForbidden,
		"This listener does not answer under this name: use its address, or add the name to admin.hosts.")
	errForeign = echo.NewHTTPError(http.StatusForbidden, "This listener does not answer to pages of other sites.")
	errInQuery = echo.NewHTTPError(http.StatusBadRequest,
		"A token in an address is kept by logs and histories: replace that token, and send the new one as Authorization: Bearer.")
	errNotJSON = echo.NewHTTPError(http.StatusUnsupportedMediaType, "Send Content-Type: application/json.")
)

// guard refuses a request under another name, or of another site's page, before its path is
// looked at.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		switch r := c.Request(); {
		case !s.hosts.allows(r.Host):
			return s.refuse(refusedHost, errHost)
		case !sameSite(r) && !opensPage(r):
			return s.refuse(refusedOrigin, errForeign)
		}
		return next(c)
	}
}

// sameSite reports whether no page of another site had a browser send the request.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // no browser, our own page, or typed in
	default:
		return false
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) || r.TLS != nil && u.Scheme != "https" {
			return false
		}
	}
	return true
}

// opensPage reports whether somebody follows a link of another site to a page of the console. That
// site learns nothing of the answer, and the console answers the same to everybody.
func opensPage(r *http.Request) bool {
	is := func(name string, values ...string) bool {
		got := r.Header.Values(name)
		return len(got) == 1 && slices.Contains(values, got[0])
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "api", "livez", "readyz", "metrics":
		return false
	}
	return r.Method == http.MethodGet && len(r.Header.Values("Origin")) == 0 &&
		is("Sec-Fetch-Site", "cross-site", "same-site") && is("Sec-Fetch-Mode", "navigate") && is("Sec-Fetch-Dest", "document")
}

// checkAccess returns who calls the API, or the error of one who may not.
func (s *Server) checkAccess(c echo.Context) (caller, error) {
	r := c.Request()
	requestID(c)
	if query := r.URL.Query(); query.Has("token") || query.Has("access_token") {
		return caller{}, s.refuse(refusedToken, errInQuery)
	}
	who, err := s.identify(c)
	if err == nil && !carriesJSON(r) {
		err = errNotJSON
	}
	return who, err
}

// carriesJSON reports whether a request is none that a form of a web page can send without
// asking first.
func carriesJSON(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		return true
	}
	name, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	return err == nil && name == echo.MIMEApplicationJSON
}
