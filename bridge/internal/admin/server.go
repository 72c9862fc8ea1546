// Package admin is the HTTP server for operators: liveness, readiness, metrics, the API, and the
// console that is given to it.
package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/certificate"
	"github.com/hookspan/hookspan/internal/headers"
)

// Limits of a connection that are not configurable.
const (
	maxConnections = 512 + maxWaiting + maxLive + maxReading
	// maxHeadersBytes bounds the unfinished headers of all connections.
	maxHeadersBytes   = 16 << 20
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
)

// Config of a [Server].
type Config struct {
	// Listen is the address to bind, unless there is a Socket.
	Listen string
	// Socket listens already; the server closes its own descriptor. Nil: none.
	Socket net.Listener
	// FreePort takes a free port when the one of Listen is taken; otherwise that is an
	// error.
	FreePort bool
	// Hosts are the names that the server may be called by, beside localhost and addresses.
	// On loopback only loopback addresses count.
	Hosts []string
	// TLSCert and TLSKey are the files of a certificate, with which the server speaks HTTPS
	// alone; empty: it speaks HTTP.
	TLSCert, TLSKey string
	// Tokens are who may call the API, see [Server.SetTokens].
	Tokens []Token
}

// Deps is what a [Server] serves.
type Deps struct {
	// NoAPI: the server serves health and metrics alone, and every path of the API is answered
	// 501.
	NoAPI bool
	// Checks decide about /readyz; nil is always ready.
	Checks *Checks
	// Metrics are what /metrics serves.
	Metrics prometheus.Gatherer
	// Audit keeps the changes that are made through the API; nil: nobody does.
	Audit Audit
	// Console returns the pages for people, which ask the API by the handler that is given; nil:
	// there are none.
	Console func(api http.Handler) http.Handler
	// ConfigSchema is the JSON Schema of the configuration, which the API serves.
	ConfigSchema []byte
	// Away reports whether an error says that NATS does not answer; nil never does. It is called
	// concurrently.
	Away func(error) bool
}

// Server answers operators, their monitoring and the command line. Its zero value is not
// usable, see [New].
type Server struct {
	checks   *Checks
	away     func(error) bool
	log      *zap.Logger
	loopback bool
	hosts    hosts
	tokens   atomic.Pointer[[]Token] // nil: none were ever configured
	guesses  *guesses
	refusals *prometheus.CounterVec
	audit    Audit

	configSchema []byte

	listener net.Listener
	headers  *headers.Budget // of unfinished headers
	http     *http.Server
	api      atomic.Pointer[echo.Echo] // nil until SetAPI
	// Requests of the API in flight: submissions, requests that wait for a prediction, live
	// streams, outputs that are read, and all others.
	submitting, waiting, live, reading, inFlight *semaphore.Weighted
	// stopping ends when the server begins to stop, and ends the waits.
	stopping context.Context
	stop     context.CancelFunc
}

// http1 is the one protocol of the server: its limits count connections, and no stream within
// one.
var http1 = func() (p http.Protocols) { p.SetHTTP1(true); return p }()

// New binds the address, unless a socket is given, so that an error shows before anything is
// served. Connections wait until [Server.Run].
func New(cfg Config, deps Deps, log *zap.Logger) (*Server, error) {
	var encryption *tls.Config
	if cfg.TLSCert != "" {
		cert, err := certificate.Load("admin.tls", cfg.TLSCert, cfg.TLSKey, log)
		if err != nil {
			return nil, err
		}
		encryption = cert.Config()
	}
	listener := cfg.Socket
	if listener == nil {
		var err error
		if listener, err = listen(cfg.Listen, cfg.FreePort); err != nil {
			return nil, fmt.Errorf("listening for operators: %w: free that address or choose another one with admin.listen", err)
		}
	}
	s := &Server{
		checks: cmp.Or(deps.Checks, &Checks{}), log: log,
		inFlight: semaphore.NewWeighted(maxAPIInFlight), submitting: semaphore.NewWeighted(maxSubmitting),
		waiting: semaphore.NewWeighted(maxWaiting), live: semaphore.NewWeighted(maxLive), reading: semaphore.NewWeighted(maxReading),
		guesses: newGuesses(), refusals: newRefusals(), audit: deps.Audit, away: deps.Away,
		configSchema: deps.ConfigSchema,
	}
	s.SetTokens(cfg.Tokens)
	s.stopping, s.stop = context.WithCancel(context.Background())
	crowded := rate.Sometimes{Interval: time.Minute}
	s.headers = headers.NewBudget(maxHeadersBytes, func() {
		crowded.Do(func() {
			log.Warn("unfinished headers take more memory than they may, so connections of operators whose headers came slowest are closed: let only those reach admin.listen who may")
		})
	})
	s.listener = s.headers.Listener(netutil.LimitListener(listener, maxConnections))
	tcp, ok := listener.Addr().(*net.TCPAddr)
	s.loopback = ok && tcp.IP.IsLoopback()
	s.hosts = newHosts(cfg.Hosts, s.loopback)
	s.http = &http.Server{
		Handler:                      headers.Handler(s.handler(deps.Metrics, deps.Console, deps.NoAPI)),
		ConnContext:                  headers.ConnContext,
		ConnState:                    headers.ConnState,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               headers.MaxBytes,
		TLSConfig:                    encryption,
		Protocols:                    &http1,
		DisableGeneralOptionsHandler: true, // otherwise net/http answers OPTIONS * with 200
		ErrorLog:                     zap.NewStdLog(log.Named("http")),
	}
	s.http.ErrorLog.SetOutput(netLog{log.Named("http")})
	return s, nil
}

// listen binds the address, or with freePort another port when that one is taken.
func listen(address string, freePort bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if !freePort || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the address of a server that does not run.
func (s *Server) Close() error {
	s.stop()
	return s.listener.Close()
}

// Run serves until ctx ends, then ends the waits and lets the requests in flight finish,
// for at most 5 s. It returns an error only when it could not serve.
func (s *Server) Run(ctx context.Context) error {
	defer s.stop()
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	select {
	case err := <-served:
		return fmt.Errorf("serving operators: %w", err)
	case <-ctx.Done():
	}
	s.stop()
	// ctx has ended; finishing needs time of its own.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		// No event is lost by an answer that does not reach an operator.
		s.log.Info("requests of operators were cut off", zap.Error(errors.Join(err, s.http.Close())))
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving operators: %w", err)
	}
	return nil
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// netLog takes net/http's lines. Whoever connects chooses how many handshakes fail.
type netLog struct{ log *zap.Logger }

func (l netLog) Write(line []byte) (int, error) {
	level := zap.InfoLevel
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = zap.DebugLevel
	}
	l.log.Log(level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (s *Server) handler(metrics prometheus.Gatherer, console func(http.Handler) http.Handler, noAPI bool) http.Handler {
	e := newEcho(s.log)
	e.Pre(s.guard)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		e.Add(method, "/livez", livez)
		e.Add(method, "/readyz", s.readyz)
		e.Add(method, "/metrics", serveMetrics(metrics, s.log))
	}
	api := s.serveAPI
	if noAPI {
		api = func(echo.Context) error { return errNoAPI }
	}
	e.Any("/api", api)
	e.Any("/api/*", api)
	if console != nil {
		e.RouteNotFound("/*", echo.WrapHandler(console(e)))
	}
	return e
}
