// Package ingress is the public HTTP side: it takes deliveries, has them
// verified and read by their source, hands the event to a [Publisher] and
// answers only after that has said that the event is durable.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/source"
)

// Limits of a connection that the operator need not choose.
const (
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 5 * time.Second
	writeTimeout      = 30 * time.Second // the sender has given up by then
	idleTimeout       = 2 * time.Minute
	shutdownMargin    = 2 * time.Second
)

// Publisher makes events durable.
type Publisher interface {
	// Publish returns once the event is durable, or durable already, and only
	// then without an error. An error wraps one of the errors of package bridge.
	// Publish must return soon after ctx ends; ctx does not end when the sender
	// goes away. It is called concurrently and must not keep e or change it.
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// Route is one source with what is asked of the URL it posts to.
type Route struct {
	Source *source.Source
	// PathToken, when not empty, must be the last part of the path.
	PathToken []byte
	// Query are the names of URL parameters that travel with the event.
	Query []string
}

// Server answers deliveries. Its zero value is not usable, see [New].
type Server struct {
	cfg       Config
	routes    map[string]Route
	publisher Publisher
	log       *zap.Logger

	listener net.Listener
	http     *http.Server
	requests *semaphore.Weighted
	bytes    *semaphore.Weighted
}

// New binds the address, so an error about it is known before anything is
// served, and connections wait until [Server.Run].
func New(cfg Config, routes []Route, publisher Publisher, log *zap.Logger) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		routes:    make(map[string]Route, len(routes)),
		publisher: publisher,
		log:       log,
		requests:  semaphore.NewWeighted(int64(cfg.MaxInFlight)),
		bytes:     semaphore.NewWeighted(cfg.MaxInFlightBytes),
	}
	for _, r := range routes {
		s.routes[r.Source.Name()] = r
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// It would answer OPTIONS * with 200.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     zap.NewStdLog(log.Named("http")),
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for webhooks: %w: free that address or choose another one with ingress.listen", err)
	}
	s.listener = listener
	return s, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the address of a server that is not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, then takes no more connections, lets the requests
// in flight finish, for at most the deadline and a bit, and returns. It returns
// an error only when it could not serve or could not finish them.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving webhooks: %w", err)
	case <-ctx.Done():
	}
	// ctx has ended, so the time to finish needs one of its own.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Deadline+shutdownMargin)
	defer cancel()
	err := s.http.Shutdown(stop)
	if err != nil {
		err = errors.Join(fmt.Errorf("finishing requests: %w", err), s.http.Close())
	}
	return errors.Join(err, ignoreClosed(<-served))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = respondError
	e.Use(s.observe)
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "ok") })
	e.OPTIONS("/", methodNotAllowed)
	for _, path := range []string{"/webhooks/:source", "/webhooks/:source/:token"} {
		for _, slash := range []string{"", "/"} {
			e.POST(path+slash, s.receive)
			e.OPTIONS(path+slash, methodNotAllowed) // Echo would answer 204
		}
	}
	return e
}

func methodNotAllowed(echo.Context) error { return echo.ErrMethodNotAllowed }
