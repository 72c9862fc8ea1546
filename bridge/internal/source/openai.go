package source

import "time"

// openai is https://platform.openai.com by its library openai-go and its guide on webhooks:
// Standard Webhooks around an event that names a response, batch, job or run without having it.
// Attempts go on for 72 hours; a redirect counts as failed.
var openai = Kind{
	Name: "openai", Vendor: "com.openai",
	Proof: newStandard(),
	Body: Body{
		ID: []string{"/data/id"}, Status: []string{"/type"}, CompletedAt: []string{"/created_at"},
	},
	Answer: Body{
		ID: []string{"/id"}, Model: []string{"/model"}, Status: []string{"/status"}, Outputs: []string{"/output", "/output_file_id", "/fine_tuned_model", "/report_url"},
		Error: []string{"/error", "/incomplete_details", "/errors"}, CreatedAt: []string{"/created_at"},
		CompletedAt: []string{"/completed_at", "/finished_at", "/failed_at", "/cancelled_at", "/expired_at"},
	},
	RetrySpan: 72 * time.Hour, Forgives: 71 * time.Hour,
	Confirm: ConfirmIfKey,
	API: API{
		BaseURL: "https://api.openai.com/v1",
		Result: []ResultPath{
			{"batch_", "/batches/{id}"}, {"ftjob-", "/fine_tuning/jobs/{id}"}, {"video_", "/videos/{id}"}, {"", "/responses/{id}"},
		},
		Header: bearer,
	},
}
