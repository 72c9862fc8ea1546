package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Quarantine keeps authentic deliveries that cannot become an event.
type Quarantine interface {
	// Keep returns without an error only when the delivery is durable. An error wraps one
	// of the errors of package bridge. Keep must return soon after ctx ends. It is called
	// concurrently.
	Keep(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error)
}

// Refused keeps deliveries that are not authentic in a bounded ring, best effort.
type Refused interface {
	// Offer takes over w, never blocks and costs little. Later it may call diagnose, once
	// and on another goroutine, to find out why the delivery is not authentic; diagnose may
	// be nil. Offer is called concurrently.
	Offer(w *bridge.KeptDelivery, diagnose func(w *bridge.KeptDelivery))
}

// Causes of deliveries offered to [Refused], before a diagnosis.
const (
	causeNotAuthentic = "not_authentic"
	causeTooLarge     = "too_large"
)

// keptOfTooLarge is how much of a body over the limit is kept, in bytes.
const keptOfTooLarge = 64 << 10

// cutText replaces text that must not be kept.
const cutText = "[cut]"

// keep keeps a delivery that is no event, and answers it: an authentic one is quarantined,
// any other is refused.
func (s *Server) keep(ctx context.Context, req arrival, err error) error {
	if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
		return s.quarantine(ctx, req, unusable)
	}
	s.refuse(req)
	if !req.route.Source.HasSecret() {
		return fmt.Errorf("no secret is configured: %w", err)
	}
	return err
}

// quarantine keeps an authentic delivery that is not usable. It is answered 200, since the
// sender would only repeat it and then give up.
func (s *Server) quarantine(ctx context.Context, req arrival, unusable *source.UnusableError) error {
	w := req.kept(string(unusable.Cause), unusable.Detail)
	receipt, err := s.deps.Quarantine.Keep(ctx, w)
	if err != nil {
		return err
	}
	line := accessLine(req.c)
	line.result, line.cause = string(receipt.Result), w.Cause
	return req.c.JSON(http.StatusOK, accepted{Result: receipt.Result, Cause: w.Cause})
}

func (s *Server) refuse(req arrival) {
	src, delivery := req.route.Source, req.delivery
	delivery.Proof = clipped(delivery.Proof)
	s.deps.Refused.Offer(req.kept(causeNotAuthentic, "it was not looked into, since too many came at once"), func(w *bridge.KeptDelivery) {
		cause, detail := src.Diagnose(delivery)
		w.Cause, w.Detail = string(cause), detail
	})
}

// clipped shortens a proof until it is diagnosed: values longer than any signature are cut,
// and two values of a header stay.
func clipped(proof bridge.Header) bridge.Header {
	out := make(bridge.Header, len(proof))
	for name, values := range proof {
		for _, v := range values[:min(len(values), 2)] {
			if len(v) > bridge.MaxSignature {
				v = strings.Clone(v[:bridge.MaxSignature])
			}
			out[name] = append(out[name], v)
		}
	}
	return out
}

// refuseUnverified offers deliveries that were refused before verification: with a wrong
// path token, or too large, of which the beginning is kept.
func (s *Server) refuseUnverified(req arrival, refusal error, whole bool) {
	length := max(req.c.Request().ContentLength, int64(len(req.delivery.Body)))
	cause := causeTooLarge
	detail := fmt.Sprintf("the body is over ingress.max_body, which is %d bytes: raise it if this is a real webhook", s.cfg.MaxBody)
	if errors.Is(refusal, errToken) {
		cause = bridge.CausePathToken
		detail = fmt.Sprintf("the URL did not end in the path token of the source: compare the URL at the sender with sources.%s.path_token; hookspan quarantine reverify --accept-path-token makes events of those whose signature is right", req.route.Source.Name())
	}
	if !whole {
		// A copy frees the rest of the body.
		req.delivery.Body = bytes.Clone(req.delivery.Body[:min(len(req.delivery.Body), keptOfTooLarge)])
	}
	w := req.kept(cause, detail)
	w.BodyBytes = length
	w.Truncated = w.Truncated || !whole
	s.deps.Refused.Offer(w, nil)
}

// kept returns the part of the request that is kept. It holds no secret, and of path and
// query only the parameters that the source allows.
func (req arrival) kept(cause, detail string) *bridge.KeptDelivery {
	r := req.c.Request()
	w := &bridge.KeptDelivery{
		Source:      req.route.Source.Name(),
		Cause:       cause,
		Detail:      detail,
		ReceivedAt:  req.delivery.ReceivedAt,
		RemoteAddr:  accessLine(req.c).remote.String(),
		RequestID:   accessLine(req.c).requestID,
		ContentType: req.without(req.delivery.ContentType),
		TraceParent: req.delivery.TraceParent,
		Body:        req.delivery.Body,
		BodyBytes:   int64(len(req.delivery.Body)),
	}
	for name, values := range req.delivery.Proof {
		w.AddProof(name, req.allWithout(values))
	}
	w.AddHeader("Host", []string{req.without(r.Host)})
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		switch {
		case req.delivery.Proof[name] != nil || name == "Content-Type":
		case isPrivate(name):
			w.AddHeader(name, []string{cutText})
		default:
			w.AddHeader(name, req.allWithout(r.Header[name]))
		}
	}
	for name, value := range req.delivery.Query {
		kept := req.without(value)
		w.AddQuery(name, kept)
		w.Truncated = w.Truncated || kept != value
	}
	return w
}

// private are parts of the names of headers that carry credentials.
var private = []string{"auth", "cookie", "token", "secret", "password", "credential", "session", "key", "jwt"}

func isPrivate(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(private, func(part string) bool { return strings.Contains(name, part) })
}

// without returns text, or cutText when text holds a secret of the source, its path token,
// or the path token that came, which may be nearly right.
func (req arrival) without(text string) string {
	const longEnough = 8 // shorter texts would match by accident
	for _, token := range []string{string(req.route.PathToken), req.c.Param("token")} {
		if token != "" && text == token || len(token) >= longEnough && strings.Contains(text, token) {
			return cutText
		}
	}
	if req.route.Source.Holds(text) {
		return cutText
	}
	return text
}

func (req arrival) allWithout(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = req.without(v)
	}
	return out
}

// Source returns the named source as it verifies now, or nil. It is safe for concurrent
// use.
func (s *Server) Source(name string) *source.Source { return (*s.routes.Load())[name].Source }

// unknownEvery spaces the alarms about unknown sources: whoever posts chooses the names.
const unknownEvery = 10 * time.Minute

// raiseUnknownSource raises a spaced alarm: perhaps a URL is mistyped.
func (s *Server) raiseUnknownSource(name string) {
	s.unknown.Do(func() {
		called := fmt.Sprintf("source %q", name)
		if bridge.CheckName("source", name) != nil {
			called = "a source with a name that no source can have"
		}
		s.deps.Alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmUnknownSource,
			Text: "a webhook came for " + called + ", which is not configured, and was answered 404: is the URL at the sender mistyped, or is the source missing in the configuration?",
		})
	})
}
