package source

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/signing"
)

// get3w is https://get3w.com as its public documentation of webhooks and of the
// REST API v3 describes it: one POST with the bare prediction object, signed
// with the hex HMAC-SHA256 of the raw body in one header.
type get3w struct{}

func (get3w) ProofHeaders() []string { return []string{signing.Header} }

func (get3w) Verify(proof bridge.Header, body []byte, secrets [][]byte) bool {
	values := proof[signing.Header]
	return len(values) == 1 && signing.Verify(values[0], body, secrets...)
}

func (get3w) Sign(body, secret []byte) bridge.Header {
	return bridge.Header{signing.Header: {signing.Sign(body, secret)}}
}

// Status: the provider documents created, processing, completed and failed,
// which are our own words; anything else stays what it is.
func (get3w) Status(raw string) string { return bridge.EncodeToken(raw) }

func (get3w) EventType(status string) string { return "com.get3w.prediction." + status + ".v1" }

// RetrySpan: attempts at once and after 10, 30 and 60 s. Read as gaps, with a
// time-out of 30 s each, the last one ends 220 s after the first began.
func (get3w) RetrySpan() time.Duration { return 220 * time.Second }

// OutputLife: the provider documents 7 days after their creation.
func (get3w) OutputLife() time.Duration { return 7 * 24 * time.Hour }

// OutputDelay: the provider documents none.
func (get3w) OutputDelay() time.Duration { return DefaultOutputDelay }

func (get3w) OutputHosts() []string { return []string{"cdn.get3w.com"} }

func (get3w) BaseURL() string { return "https://api.get3w.com/api/v3" }
