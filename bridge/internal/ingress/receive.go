package ingress

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// What can be wrong with a request before anybody has looked at its body.
var (
	errUnknownSource = errors.New("unknown source")
	errTooLarge      = errors.New("body is too large")
	errEncoded       = errors.New("body is encoded")
	errSlow          = errors.New("body came too slowly")
	errCutOff        = errors.New("body was cut off")
	errBusy          = errors.New("too much in flight")
	errRate          = errors.New("too many requests from one address")
	errStopping      = errors.New("shutting down")
	errToken         = fmt.Errorf("path token: %w", source.ErrNotAuthentic)
)

// receive handles one delivery, from its headers to the receipt.
func (s *Server) receive(c echo.Context) error {
	r := c.Request()
	started := time.Now()
	line := accessLine(c)

	route, ok := (*s.routes.Load())[c.Param("source")]
	if !ok {
		s.unknownSource(c.Param("source"))
		return errUnknownSource
	}
	line.source = route.Source.Name()
	known := tokenMatches(route.PathToken, c.Param("token"))
	if !known && len(route.PathToken) == 0 {
		return echo.ErrNotFound // the path exists for other sources only
	}
	for _, enc := range r.Header.Values("Content-Encoding") {
		if enc != "" && !strings.EqualFold(enc, "identity") {
			return errEncoded
		}
	}

	refusal := s.refusal(r, known)
	if refusal != nil {
		body, whole, release := s.glimpse(c)
		defer release()
		line.bytes = len(body)
		s.refuseUnverified(newArrival(c, route, body, started), refusal, whole)
		return refusal
	}
	body, release, err := s.read(c, s.cfg.MaxBody)
	defer release()
	line.bytes = len(body)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			s.refuseUnverified(newArrival(c, route, body, started), err, false)
		}
		return err
	}
	req := newArrival(c, route, body, started)

	// The request's context ends when the sender half-closes its connection,
	// although it still waits for the answer.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), started.Add(s.cfg.Deadline))
	defer cancel()
	event, err := route.Source.Accept(req.delivery)
	if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
		return s.quarantine(ctx, req, unusable)
	}
	if err != nil {
		s.refuse(req)
		if !route.Source.HasSecret() {
			err = fmt.Errorf("no secret is configured: %w", err)
		}
		return err
	}
	line.event = event.ID
	receipt, err := s.deps.Publisher.Publish(ctx, event)
	if err != nil {
		return err
	}
	line.result = string(receipt.Result)
	return c.JSON(http.StatusOK, accepted{Result: receipt.Result, ID: event.ID})
}

// accepted is the body of a 200.
type accepted struct {
	Result bridge.Result `json:"result"`
	// ID is the event's; what is quarantined has a cause instead.
	ID    string `json:"id,omitempty"`
	Cause string `json:"cause,omitempty"`
}

// refusal is why a delivery is refused whatever its body says, or nil.
func (s *Server) refusal(r *http.Request, known bool) error {
	switch {
	case !known:
		return errToken
	case r.ContentLength > s.cfg.MaxBody:
		return errTooLarge
	}
	return nil
}

// glimpse returns as much of the body of a delivery that is refused anyway as is
// kept of it, whether that is the whole, and what gives its share of the limits
// back. A sender that waits for our word before it sends is not asked.
func (s *Server) glimpse(c echo.Context) (body []byte, whole bool, release func()) {
	r := c.Request()
	if r.Header.Get("Expect") != "" {
		return nil, false, func() {}
	}
	limit := s.cfg.MaxBody
	if r.ContentLength > limit {
		limit = min(limit, keptOfTooLarge)
	}
	body, release, err := s.read(c, limit)
	return body, err == nil, release
}

// read returns the body, or its beginning with an error, and what gives its share
// of the limits back, which is never nil.
func (s *Server) read(c echo.Context, limit int64) (body []byte, release func(), err error) {
	r := c.Request()
	control := http.NewResponseController(c.Response())
	conn := connOf(r.Context())
	in := s.intake.begin(http.MaxBytesReader(c.Response().Writer, r.Body, limit), accessLine(c).header, conn.head.Progress, func() {
		_ = control.SetReadDeadline(time.Unix(1, 0)) // observe has set one, so it can be set
	})
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), firstStep)) + bytes.MinRead)
	if _, err := buf.ReadFrom(in); err != nil {
		return buf.Bytes(), in.end, readError(err)
	}
	if err := in.arrived(); err != nil {
		return nil, in.end, err
	}
	conn.work()
	return buf.Bytes(), func() { conn.rest(); in.end() }, nil
}

func readError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return err
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff
	}
	return fmt.Errorf("%w: %w", errCutOff, err)
}

func tokenMatches(want []byte, got string) bool {
	return subtle.ConstantTimeCompare(want, []byte(got)) == 1
}

// proof copies what the kind needs to verify, with every value that came.
func proof(h http.Header, kind source.Kind) bridge.Header {
	out := make(bridge.Header)
	for _, name := range kind.ProofHeaders() {
		if values := h.Values(name); len(values) > 0 {
			out[name] = values
		}
	}
	return out
}

// allowedQuery picks the parameters that travel with the event.
func allowedQuery(r *http.Request, names []string) map[string]string {
	if len(names) == 0 || r.URL.RawQuery == "" {
		return nil
	}
	query := r.URL.Query()
	out := make(map[string]string, len(names))
	for _, name := range names {
		if v := query.Get(name); v != "" {
			out[name] = v
		}
	}
	return out
}
