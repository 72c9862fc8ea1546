package source

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// replicate is https://replicate.com by its pages on webhooks and on data retention: Standard
// Webhooks around the bare prediction. What a running prediction prints comes up to twice a
// second, so it is passed on and not kept. Only webhooks of an end are repeated; how often is not
// documented.
var replicate = Kind{
	Name: "replicate", Vendor: "com.replicate",
	Proof: newStandard(),
	Body:  replicateBody, Answer: replicateBody,
	RetrySpan:   10 * time.Minute,
	OutputHosts: []string{"replicate.delivery", "*.replicate.delivery"},
	OutputLife:  time.Hour,
	API:         API{BaseURL: "https://api.replicate.com/v1", Result: []ResultPath{{"", "/predictions/{id}"}}, Header: bearer},
}

var replicateBody = Body{
	ID: []string{"/id"}, Model: []string{"/model", "/version"}, Status: []string{"/status"}, Outputs: []string{"/output"}, Error: []string{"/error"},
	CreatedAt: []string{"/created_at"}, CompletedAt: []string{"/completed_at"}, Inference: []string{"/metrics/predict_time"},
	Progress: []string{bridge.StatusProcessing},
}
