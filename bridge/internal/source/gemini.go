package source

import "time"

// gemini is https://ai.google.dev by its page on webhooks of 2026-05-08: Standard Webhooks for
// static webhooks around an event that names the result. Webhooks of a single request, which a
// JWT signs that does not cover the body, are not taken. Attempts go on for 24 hours.
var gemini = Kind{
	Name: "gemini", Vendor: "dev.google.ai",
	Proof: newStandard(),
	Body: Body{
		ID: []string{"/data/id"}, Status: []string{"/type"}, Outputs: []string{"/data/output_file_uri", "/data/file_name"},
		Error: []string{"/data/error_code"}, CompletedAt: []string{"/timestamp"},
	},
	Answer: Body{
		ID: []string{"/name"}, Outputs: []string{"/response"}, Error: []string{"/error"}, Status: []string{"/metadata/state"},
	},
	RetrySpan: 24 * time.Hour, Forgives: 23 * time.Hour,
	OutputHosts: []string{"generativelanguage.googleapis.com"},
	API:         API{BaseURL: "https://generativelanguage.googleapis.com/v1beta"},
}
