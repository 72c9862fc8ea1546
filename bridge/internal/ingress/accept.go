package ingress

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// accept handles one delivery. Each error that it returns is a row of answers.
func (s *Server) accept(c echo.Context) error {
	started := time.Now()
	line := accessLine(c)
	route, err := s.route(c)
	if err != nil {
		return err
	}
	body, whole, release, err := s.body(c, s.refusal(c, route))
	defer release()
	line.bytes = len(body)
	req := newArrival(c, route, body, started)
	if errors.Is(err, errToken) || errors.Is(err, errTooLarge) {
		s.refuseUnverified(req, err, whole)
	}
	if err != nil {
		return err
	}
	// The request's context ends when the sender half-closes its connection, although the
	// sender still waits for the answer.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(c.Request().Context()), started.Add(s.cfg.Deadline))
	defer cancel()
	event, err := route.Source.Accept(req.delivery)
	if err != nil {
		return s.keep(ctx, req, err)
	}
	if route.Source.TellsProgress(event) {
		return s.progress(c, route.Source, event)
	}
	if route.Source.Confirms() {
		return s.confirm(ctx, req, event)
	}
	line.event = event.ID
	receipt, err := s.publish(ctx, event)
	if err != nil {
		return err
	}
	line.result = string(receipt.Result)
	if receipt.Result == bridge.Erasure {
		line.event = "" // the log is to name it no more
		return respondAccepted(c, accepted{Result: receipt.Result})
	}
	return respondAccepted(c, accepted{Result: receipt.Result, ID: event.ID})
}

// route returns the source that the URL names.
func (s *Server) route(c echo.Context) (Route, error) {
	name := c.Param("source")
	route, ok := (*s.routes.Load())[name]
	if !ok {
		s.raiseUnknownSource(name)
		return route, errUnknownSource
	}
	accessLine(c).source, accessLine(c).kind = name, route.Source.Kind()
	if len(route.PathToken) == 0 && c.Param("token") != "" {
		return route, echo.ErrNotFound // only other sources have this path
	}
	for _, enc := range c.Request().Header.Values("Content-Encoding") {
		if enc != "" && !strings.EqualFold(enc, "identity") {
			return route, errEncoded
		}
	}
	return route, nil
}

// refusal returns why a delivery is refused whatever its body is, or nil.
func (s *Server) refusal(c echo.Context, route Route) error {
	switch {
	case subtle.ConstantTimeCompare(route.PathToken, []byte(c.Param("token"))) != 1:
		return errToken
	case c.Request().ContentLength > s.cfg.MaxBody:
		return errTooLarge
	}
	return nil
}

// arrival is one delivery that is being answered.
type arrival struct {
	c        echo.Context
	route    Route
	delivery source.Delivery
}

func newArrival(c echo.Context, route Route, body []byte, at time.Time) arrival {
	r := c.Request()
	return arrival{c, route, source.Delivery{
		Proof:       proof(r.Header, route.Source.Kind()),
		Body:        body,
		ContentType: r.Header.Get("Content-Type"),
		Query:       allowedQuery(r, route.Query),
		ReceivedAt:  at,
		Origin:      bridge.OriginWebhook,
		TraceParent: traceParent(r),
	}}
}

// proof copies the headers by which the kind verifies, with every value.
func proof(h http.Header, kind *source.Kind) bridge.Header {
	out := make(bridge.Header)
	for _, name := range kind.ProofHeaders() {
		if values := h.Values(name); len(values) > 0 {
			out[name] = values
		}
	}
	return out
}

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
