package ingress

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// cutText stands for what is not kept.
const cutText = "[cut]"

// kept is what is kept of the request: nothing secret is in it, and of its
// path and query nothing but the parameters that the source allows.
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
	private := source.IsPrivate(req.route.Source.Kind().Proof) // a wrong secret may be nearly right
	for name, values := range req.delivery.Proof {
		if private {
			values = []string{cutText}
		}
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
		s.deps.Alarms.Raise(lasting.Again(bridge.Alarm{
			Kind: bridge.AlarmUnknownSource,
			Text: "a webhook came for " + called + ", which is not configured, and was answered 404: is the URL at the sender mistyped, or is the source missing in the configuration?",
		}, "no webhook came for a source that is not configured"))
	})
}
