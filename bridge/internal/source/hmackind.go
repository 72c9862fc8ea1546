package source

import "time"

// hmacKind is any sender that signs with a keyed hash in a header, as sources.<name>.signature
// says.
var hmacKind = Kind{
	Name: "hmac", Vendor: "com.hookspan.hmac",
	Proof: &HMAC{Signed: "{body}", Tolerance: defaultTolerance},
	Body:  common, Answer: common,
	RetrySpan: 10 * time.Minute,
}

// github is https://docs.github.com/webhooks, for runs of workflows that make predictions. GitHub
// repeats nothing by itself.
var github = Kind{
	Name: "github", Vendor: "com.github",
	Proof: &HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="},
	Body: Body{
		ID: []string{"/workflow_run/id"}, Model: []string{"/workflow_run/path"}, Status: []string{"/workflow_run/conclusion", "/action"},
		Outputs: []string{"/workflow_run/artifacts_url"}, CreatedAt: []string{"/workflow_run/created_at"}, CompletedAt: []string{"/workflow_run/updated_at"},
		Numbers: true, Statuses: map[string]string{"requested": "created", "neutral": "completed"},
	},
	Answer: Body{
		ID: []string{"/id"}, Model: []string{"/path"}, Status: []string{"/conclusion", "/status"}, Outputs: []string{"/artifacts_url"},
		CreatedAt: []string{"/created_at"}, CompletedAt: []string{"/updated_at"}, Numbers: true, Statuses: map[string]string{"neutral": "completed"},
	},
	RetrySpan: time.Minute,
}
