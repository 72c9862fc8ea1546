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
	"github.com/hookspan/hookspan/bridge/source"
)

// What can be wrong with a request before anybody has looked at its body.
var (
	errUnknownSource = errors.New("unknown source")
	errTooLarge      = errors.New("body is too large")
	errEncoded       = errors.New("body is encoded")
	errSlow          = errors.New("body came too slowly")
	errCutOff        = errors.New("body was cut off")
	errBusy          = errors.New("too much in flight")
)

// receive handles one delivery, from its headers to the receipt.
func (s *Server) receive(c echo.Context) error {
	r := c.Request()
	started := time.Now()
	line := accessLine(c)

	route, ok := s.routes[c.Param("source")]
	if !ok {
		return errUnknownSource
	}
	line.source = route.Source.Name()
	if !tokenMatches(route.PathToken, c.Param("token")) {
		if len(route.PathToken) == 0 {
			return echo.ErrNotFound // the path exists for other sources only
		}
		return fmt.Errorf("path token: %w", source.ErrNotAuthentic)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return errEncoded
	}

	body, release, err := s.read(c)
	defer release()
	line.bytes = len(body)
	if err != nil {
		return err
	}
	event, err := route.Source.Accept(source.Delivery{
		Proof:       proof(r.Header, route.Source.Kind()),
		Body:        body,
		ContentType: r.Header.Get("Content-Type"),
		Query:       allowed(r, route.Query),
		ReceivedAt:  started,
		Origin:      bridge.OriginWebhook,
		TraceParent: traceParent(r.Header),
	})
	if err != nil {
		if !route.Source.HasSecret() {
			err = fmt.Errorf("no secret is configured: %w", err)
		}
		return err
	}
	line.event = event.ID

	// The request's context ends when the sender half-closes its connection,
	// although it still waits for the answer.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), started.Add(s.cfg.Deadline))
	defer cancel()
	receipt, err := s.publisher.Publish(ctx, event)
	if err != nil {
		return err
	}
	line.result = string(receipt.Result)
	return c.JSON(http.StatusOK, accepted{Result: receipt.Result, ID: event.ID})
}

// accepted is the body of a 200.
type accepted struct {
	Result bridge.Result `json:"result"`
	ID     string        `json:"id"`
}

// read returns the body and what gives its share of the limits back, which is
// never nil.
func (s *Server) read(c echo.Context) (body []byte, release func(), err error) {
	r := c.Request()
	if r.ContentLength > s.cfg.MaxBody {
		return nil, func() {}, errTooLarge
	}
	if !s.requests.TryAcquire(1) {
		return nil, func() {}, fmt.Errorf("%w: %d requests", errBusy, s.cfg.MaxInFlight)
	}
	held := r.ContentLength
	if held < 0 {
		held = s.cfg.MaxBody
	}
	if !s.bytes.TryAcquire(held) {
		s.requests.Release(1)
		return nil, func() {}, fmt.Errorf("%w: %d bytes", errBusy, s.cfg.MaxInFlightBytes)
	}
	release = func() {
		s.bytes.Release(held)
		s.requests.Release(1)
	}

	var buf bytes.Buffer
	buf.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
	if _, err := buf.ReadFrom(http.MaxBytesReader(c.Response(), r.Body, s.cfg.MaxBody)); err != nil {
		return nil, release, readError(err)
	}
	if n := int64(buf.Len()); n < held {
		s.bytes.Release(held - n)
		held = n
	}
	return buf.Bytes(), release, nil
}

func readError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
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

// allowed picks the parameters that travel with the event.
func allowed(r *http.Request, names []string) map[string]string {
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
