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
	"golang.org/x/sync/semaphore"

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
	for _, enc := range r.Header.Values("Content-Encoding") {
		if enc != "" && !strings.EqualFold(enc, "identity") {
			return errEncoded
		}
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
	in := &metered{
		from:  http.MaxBytesReader(c.Response(), r.Body, s.cfg.MaxBody),
		limit: s.bytes,
		step:  min(meterStep, s.cfg.MaxBody),
	}
	release = func() {
		s.bytes.Release(in.held)
		s.requests.Release(1)
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), meterStep)) + bytes.MinRead)
	if _, err := buf.ReadFrom(in); err != nil {
		return nil, release, readError(err)
	}
	return buf.Bytes(), release, nil
}

// meterStep is how many bytes of a body are reserved at once.
const meterStep = 64 << 10

// metered reserves the bytes of a body as they arrive. What a header announces
// costs its sender nothing, so it reserves nothing.
type metered struct {
	from  io.Reader
	limit *semaphore.Weighted
	step  int64
	read  int64
	held  int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.read += int64(n)
	for m.read > m.held {
		if !m.limit.TryAcquire(m.step) {
			return n, fmt.Errorf("%w: too many bytes", errBusy)
		}
		m.held += m.step
	}
	return n, err
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
