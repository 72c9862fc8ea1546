// Package ingress is the public HTTP server. A source verifies and reads each delivery; the
// server hands the event to a [Publisher] and answers only when the event is durable. A
// [Quarantine] keeps authentic deliveries that are no events. Other deliveries are refused
// and offered to [Refused].
package ingress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/certificate"
	"github.com/hookspan/hookspan/internal/headers"
)

// Limits of a connection that are not configurable.
const (
	readHeaderTimeout = 5 * time.Second
	writeTimeout      = 30 * time.Second // the sender has given up by then
	shutdownMargin    = 2 * time.Second
	// lastAnswers is how long connections without a request may delay the end of Run.
	lastAnswers = time.Second
	// handOverTime is how long a server with a Socket has its senders open new connections
	// before it leaves the Socket to the next process. Nobody waits meanwhile.
	handOverTime = time.Second
	// Of one HTTP/2 connection: concurrent requests, and the largest frame, which is
	// buffered whole before a handler reads it.
	maxStreams   = 128
	maxFrameSize = 16 << 10
	// Headers that are still arriving may take a quarter of MaxInFlightBytes beside the
	// bodies, and at least leastForHeaders: twice a header, since a TLS handshake and a
	// whole record are read with it.
	headerShare     = 4
	leastForHeaders = 2 * headers.MaxBytes
)

// Publisher makes events durable.
type Publisher interface {
	// Publish returns without an error only when the event is durable. An error wraps one
	// of the errors of package bridge. Publish must return soon after ctx ends; ctx does
	// not end when the sender goes away. It is called concurrently and must not keep or
	// change e.
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// Deps take the deliveries. All are required; Unconfirmed and Progress are used for sources of
// kinds that need them.
type Deps struct {
	Publisher   Publisher
	Quarantine  Quarantine
	Unconfirmed Unconfirmed
	Progress    Progress
	Refused     Refused
	Alarms      bridge.Alarmer
	// Tracer begins the spans of deliveries; nil: none.
	Tracer trace.Tracer
}

// Route is one source and the rules of its URL.
type Route struct {
	Source *source.Source
	// PathToken, when not empty, must be the last part of the path.
	PathToken []byte
	// Query names the URL parameters that travel with the event.
	Query []string
}

// Server answers deliveries. Its zero value is not usable, see [New].
type Server struct {
	cfg     Config
	routes  atomic.Pointer[map[string]Route]
	deps    Deps
	log     *zap.Logger
	metrics *metrics
	quiet   quiet
	unknown rate.Sometimes
	// crowded bounds the lines about evicted headers.
	crowded rate.Sometimes

	listener *connections
	http     *http.Server
	proxies  proxies
	rates    *rates
	intake   *intake

	draining atomic.Bool
	drain    drain
}

// New binds the address, unless a socket is given, so that an error shows before anything is
// served. Connections wait until [Server.Run].
func New(cfg Config, routes []Route, deps Deps, log *zap.Logger) (*Server, error) {
	cfg.headerTimeout = cmp.Or(cfg.headerTimeout, readHeaderTimeout)
	s := &Server{
		cfg:     cfg,
		deps:    deps,
		log:     log,
		unknown: rate.Sometimes{Interval: unknownEvery},
		crowded: rate.Sometimes{Interval: crowdedEvery},
		metrics: newMetrics(),
		proxies: cfg.TrustedProxies,
		rates:   newRates(cfg.RatePerAddress, cfg.BurstPerAddress, maxAddresses),
		intake:  &intake{maxRequests: cfg.MaxInFlight, maxBytes: cfg.MaxInFlightBytes, maxBody: cfg.MaxBody},
	}
	s.SetRoutes(routes)
	s.http = &http.Server{
		Handler:           s.handler(),
		ConnContext:       withConn,
		ConnState:         headers.ConnState,
		ReadHeaderTimeout: cfg.headerTimeout,
		// It ends requests that net/http answers by itself, such as one with an odd Expect,
		// and whose body it then waits for; observe sets a shorter deadline.
		ReadTimeout:    cfg.headerTimeout + cfg.Deadline,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    cfg.IdleTimeout,
		MaxHeaderBytes: headers.MaxBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			MaxReadFrameSize:     maxFrameSize,
			WriteByteTimeout:     writeTimeout,
		},
		// Otherwise net/http answers OPTIONS * with 200.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     zap.NewStdLog(log),
	}
	s.http.ErrorLog.SetOutput(netLog{&s.quiet, log.Named("http")})
	if cfg.TLSCert != "" {
		cert, err := certificate.Load("ingress.tls", cfg.TLSCert, cfg.TLSKey, log)
		if err != nil {
			return nil, err
		}
		s.http.TLSConfig = cert.Config()
	}
	listener := cfg.Socket
	if listener == nil {
		bound, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("listening for webhooks: %w: free that address or choose another one with ingress.listen", err)
		}
		listener = bound.(*net.TCPListener)
	}
	s.listener = &connections{
		TCPListener: listener,
		max:         cfg.MaxConnections, perAddress: cfg.MaxConnectionsPerAddress,
		trusted: s.proxies, ended: s.metrics.ended, from: map[netip.Prefix]int{},
		headers: headers.NewBudget(max(cfg.MaxInFlightBytes/headerShare, leastForHeaders), s.headerEvicted),
	}
	return s, nil
}

// SetRoutes replaces every source. Requests whose headers were read before keep the old
// ones. It is safe for concurrent use.
func (s *Server) SetRoutes(routes []Route) {
	byName := make(map[string]Route, len(routes))
	for _, r := range routes {
		byName[r.Source.Name()] = r
	}
	s.routes.Store(&byName)
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the address of a server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends. From then on every answer closes its connection, and GET / says
// 503. After the shutdown delay Run takes no more connections, answers deliveries on open
// connections 503, and finishes those in flight, for at most the deadline and a bit. It
// returns an error only when it could not serve or could not finish them.
//
// With the Socket of somebody else GET / goes on saying 200, and nobody is answered 503 who sends within a second
// after Run has taken its last connection: further ones wait in the socket for the next process.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	select {
	case err := <-served:
		return fmt.Errorf("serving webhooks: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	select {
	case err := <-served:
		return fmt.Errorf("serving webhooks: %w", err)
	case <-s.after(s.delay()):
	}
	// ctx has ended; finishing needs time of its own.
	ctx = context.WithoutCancel(ctx)
	// Once serve has returned, s.http knows every connection that was taken.
	err := errors.Join(ignoreClosed(s.listener.Close()), ignoreClosed(<-served))
	if s.handsOver() {
		s.answerOpen()
	}
	finished := s.drain.shut()
	select {
	case <-finished:
	case <-time.After(s.cfg.Deadline + shutdownMargin):
		err = errors.Join(err, errors.New("finishing requests: some are still in flight after their deadline"))
	}
	// The remaining connections have sent no whole request, or have their answer.
	last, cancel := context.WithTimeout(ctx, lastAnswers)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}

// delay is how long the server takes connections when it is to end.
func (s *Server) delay() time.Duration {
	if s.handsOver() {
		return handOverTime
	}
	return s.cfg.ShutdownDelay
}

func (s *Server) after(d time.Duration) <-chan time.Time {
	if s.cfg.timer != nil {
		return s.cfg.timer
	}
	return time.After(d)
}

// answerOpen answers the connections that were taken, until each has ended, for at most
// lastAnswers. Idle ones end at once: during the handOverTime a sender used every connection
// that it uses often. http.Shutdown comes later, since it drops requests that it then reads.
func (s *Server) answerOpen() {
	s.http.SetKeepAlivesEnabled(false)
	select {
	case <-s.listener.allGone():
	case <-s.after(lastAnswers):
	}
}

// leaving reports whether load balancers are to send their requests elsewhere.
func (s *Server) leaving() bool { return s.draining.Load() && !s.handsOver() }

// handsOver reports whether the socket is left to another process.
func (s *Server) handsOver() bool { return s.cfg.Socket != nil && !s.cfg.OwnSocket }

// crowdedEvery spaces the lines about evicted headers.
const crowdedEvery = time.Minute

// headerEvicted counts a connection that was closed because headers took too much.
func (s *Server) headerEvicted() {
	s.metrics.ended.WithLabelValues(endedHeader).Inc()
	s.crowded.Do(func() {
		s.log.Warn("unfinished headers take more memory than they may, so connections whose headers came slowest are closed; somebody opens many that send large headers and do not finish them: see hookspan_connections_ended_total, and bound them with ingress.max_connections_per_address")
	})
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = respondError
	e.Use(s.observe)
	e.GET("/", s.root)
	e.HEAD("/", s.root)
	e.OPTIONS("/", s.options)
	for _, path := range []string{"/webhooks/:source", "/webhooks/:source/:token"} {
		for _, slash := range []string{"", "/"} {
			e.POST(path+slash, s.accept, s.admit)
			// One answer for every name: nobody learns which sources there are.
			e.HEAD(path+slash, s.root)
			e.OPTIONS(path+slash, s.options)
		}
	}
	return e
}

// root is for load balancers, which leave when it is not 200. They use GET or HEAD, some at
// the path of a webhook.
func (s *Server) root(c echo.Context) error {
	if s.leaving() {
		return errStopping
	}
	return c.String(http.StatusOK, "ok")
}

// options is for load balancers that check by OPTIONS, as HAProxy does by default.
func (s *Server) options(c echo.Context) error {
	if s.leaving() {
		return errStopping
	}
	c.Response().Header().Set(echo.HeaderAllow, allowed(c.Request().URL.Path))
	return c.NoContent(http.StatusNoContent)
}

func allowed(path string) string {
	if path == "/" {
		return "GET, HEAD, OPTIONS"
	}
	return "POST, HEAD, OPTIONS"
}
