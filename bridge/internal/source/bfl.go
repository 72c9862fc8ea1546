package source

import "time"

// bfl is https://bfl.ai, FLUX, by its agent skill: hex HMAC-SHA256 of the raw body with the secret
// that each request names. It tries again after 1, 5 and 30 s and waits 30 s for each answer, and
// an output lives for 10 minutes. The header is documented nowhere else: sources.<name>.signature
// changes it.
var bfl = Kind{
	Name: "bfl", Vendor: "ai.bfl",
	Proof:     &HMAC{Header: "X-Bfl-Signature", Prefix: "sha256="},
	Body:      bflBody,
	Answer:    bflBody,
	RetrySpan: 156 * time.Second, Forgives: 36 * time.Second,
	OutputHosts: []string{"*.bfl.ai", "*.blob.core.windows.net"},
	OutputLife:  10 * time.Minute,
	API: API{
		BaseURL: "https://api.bfl.ai/v1", Result: []ResultPath{{"", "/get_result?id={id}"}}, Header: map[string]string{"x-key": "{key}"},
	},
}

var bflBody = Body{
	ID: []string{"/id", "/task_id"}, Status: []string{"/status"}, Outputs: []string{"/result/sample"}, Error: []string{"/error", "/details"},
	Statuses: map[string]string{
		"Request Moderated": "failed", "Content Moderated": "failed", "Task not found": "failed",
	},
}
