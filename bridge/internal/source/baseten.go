package source

import (
	"time"
)

// baseten is https://docs.baseten.co/inference/async: hex HMAC-SHA256 of the raw body, a list of
// signatures while a secret is rotated. The result stands in the body and nowhere else, so a
// webhook that is lost is an output that is lost. There are two attempts, 2 s apart, the second
// only after 500, 502, 503 and 504.
var baseten = Kind{
	Name: "baseten", Vendor: "co.baseten",
	Proof: &HMAC{Header: "X-Baseten-Signature", Prefix: "v1=", Separator: ","},
	Body: Body{
		ID: []string{"/request_id"}, Model: []string{"/model_id"}, Outputs: []string{"/data"}, Error: []string{"/errors"}, CompletedAt: []string{"/time"},
	},
	RetrySpan: 22 * time.Second, Forgives: 2 * time.Second,
	Answers: map[Outcome]int{ComeAgain: statusUnavailable},
}
