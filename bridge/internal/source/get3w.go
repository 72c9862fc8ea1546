package source

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/signing"
)

// get3w is https://get3w.com by its public documentation of webhooks and of the REST API
// v3: one POST with the bare prediction object, whose raw body is signed with hex
// HMAC-SHA256 in one header.
type get3w struct{}

func (get3w) ProofHeaders() []string { return []string{signing.Header} }

func (get3w) Verify(proof bridge.Header, body []byte, secrets [][]byte) bool {
	values := proof[signing.Header]
	return len(values) == 1 && signing.Verify(values[0], body, secrets...)
}

func (get3w) Sign(body, secret []byte) bridge.Header {
	return bridge.Header{signing.Header: {signing.Sign(body, secret)}}
}

// Status: the provider documents created, processing, completed and failed, which are our
// own words too; any other status stays as it is.
func (get3w) Status(raw string) string { return bridge.EncodeToken(raw) }

func (get3w) EventType(status string) string { return "com.get3w.prediction." + status + ".v1" }

// RetrySpan: attempts at once and after 10, 30 and 60 s. If these are gaps, with a time-out
// of 30 s each, the last attempt ends 220 s after the first began.
func (get3w) RetrySpan() time.Duration { return 220 * time.Second }

// Forgives: the last attempt comes after 60 s, if the documented times are not gaps.
func (get3w) Forgives() time.Duration { return time.Minute }

// OutputLife: the provider documents 7 days after the creation of an output.
func (get3w) OutputLife() time.Duration { return 7 * 24 * time.Hour }

// OutputDelay: the provider documents none.
func (get3w) OutputDelay() time.Duration { return DefaultOutputDelay }

func (get3w) OutputHosts() []string { return []string{"cdn.get3w.com"} }

func (get3w) BaseURL() string { return "https://api.get3w.com/api/v3" }
