package source

import (
	"time"

	"github.com/hookspan/hookspan/internal/signing"
)

// get3w is https://get3w.com by its public documentation of webhooks and of the REST API
// v3: one POST with the bare prediction object, whose raw body is signed with hex
// HMAC-SHA256 in one header.
var get3w = Kind{
	Name: "get3w", Vendor: "com.get3w",
	Proof: &HMAC{Header: signing.Header},
	Body:  plain, Answer: plain,
	// Attempts at once and after 10, 30 and 60 s. If these are gaps, with a time-out of 30 s
	// each, the last attempt ends 220 s after the first began; if not, it begins after 60 s.
	RetrySpan: 220 * time.Second, Forgives: time.Minute,
	OutputHosts: []string{"cdn.get3w.com"},
	// The provider documents 7 days after the creation of an output, and no delay.
	OutputLife: 7 * 24 * time.Hour,
	API: API{
		BaseURL: "https://api.get3w.com/api/v3", Result: []ResultPath{{"", "/predictions/{id}"}},
		Header: bearer, Enveloped: true, Submits: true,
	},
}

// get3wV1 is the older API of Get3W: the same webhooks, and results at another path.
var get3wV1 = func() Kind {
	k := get3w
	k.Name = "get3w-v1"
	k.API = API{
		BaseURL: "https://api.get3w.com/v1", Result: []ResultPath{{"", "/requests/{id}"}}, Header: bearer, Enveloped: true,
	}
	return k
}()
