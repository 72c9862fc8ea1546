package ingress

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Refused keeps deliveries that are not authentic for a while, as far as it can.
type Refused interface {
	// Offer takes over w, never blocks and costs little. It may call diagnose
	// later, once, on another goroutine, to find out why the delivery is not
	// authentic; diagnose may be nil. It is called concurrently.
	Offer(w *bridge.KeptDelivery, diagnose func(w *bridge.KeptDelivery))
}

// Causes of what is offered to [Refused], before a diagnosis.
const (
	causeNotAuthentic = "not_authentic"
	causeTooLarge     = "too_large"
)

// keptOfTooLarge is how much is kept of a body over the limit, in bytes.
const keptOfTooLarge = 64 << 10

// refuse offers a delivery that is not authentic to the ring.
func (s *Server) refuse(req arrival) {
	src, delivery := req.route.Source, req.delivery
	delivery.Proof = clipped(delivery.Proof)
	s.deps.Refused.Offer(req.kept(causeNotAuthentic, "it was not looked into, since too many came at once"), func(w *bridge.KeptDelivery) {
		cause, detail := src.Diagnose(delivery)
		w.Cause, w.Detail = string(cause), detail
	})
}

// clipped is a proof of which little is held until it is diagnosed: values that
// are longer than any signature are cut, and of many values two are left.
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

// refuseUnverified offers to the ring what was refused before anybody looked at
// its signature: a delivery with a wrong path token, or one that is too large, of
// which the beginning is kept.
func (s *Server) refuseUnverified(req arrival, refusal error, whole bool) {
	length := max(req.c.Request().ContentLength, int64(len(req.delivery.Body)))
	cause := causeTooLarge
	detail := fmt.Sprintf("the body is over ingress.max_body, which is %d bytes: raise it if this is a real webhook", s.cfg.MaxBody)
	if errors.Is(refusal, errToken) {
		cause = bridge.CausePathToken
		detail = fmt.Sprintf("the URL did not end in the path token of the source: compare the URL at the sender with sources.%s.path_token; hookspan quarantine reverify --accept-path-token makes events of those whose signature is right", req.route.Source.Name())
	}
	if !whole {
		// A copy, so that what is not kept is not held.
		req.delivery.Body = bytes.Clone(req.delivery.Body[:min(len(req.delivery.Body), keptOfTooLarge)])
	}
	w := req.kept(cause, detail)
	w.BodyBytes = length
	w.Truncated = w.Truncated || !whole
	s.deps.Refused.Offer(w, nil)
}
