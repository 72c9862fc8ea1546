package adminapi

import (
	"fmt"
	"time"
)

// Limits of a [Submission].
const (
	// MaxSubmission bounds its body, in bytes.
	MaxSubmission     = 1 << 20
	MaxIdempotencyKey = 128
	// IdempotencyLife is how long an idempotency key is remembered.
	IdempotencyLife = 24 * time.Hour
)

// Submission is a prediction that the bridge is to have made.
type Submission struct {
	Source string
	// Model is the path of the model at the provider, parts between slashes.
	Model string
	// Body is the JSON object that the provider is sent, without webhook_url. When its
	// member stream is true, the provider's answer is relayed as it comes.
	Body []byte
	// Reference, Tenant, Metadata and Deadline are as in [Watch].
	Reference, Tenant string
	Metadata          map[string]string
	Deadline          time.Time
	// IdempotencyKey, when not empty, lets the same submission be made again without
	// another prediction. It has at most [MaxIdempotencyKey] printable ASCII
	// characters.
	IdempotencyKey string
}

// SubmitError is why a submission has no prediction to show.
type SubmitError struct {
	// Status is the HTTP status that it is answered with.
	Status int
	// Detail says what is wrong and what to do, for the one who submits.
	Detail string
	// RetryAfter is when to try again, 0 when that is not said.
	RetryAfter time.Duration
	// Unknown: the provider may have accepted it, so it must not simply be sent again.
	Unknown bool
	// Err is for the log, nil when Detail says it all.
	Err error
}

func (e *SubmitError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("submitting a prediction: %s: %v", e.Detail, e.Err)
	}
	return "submitting a prediction: " + e.Detail
}

// Unwrap returns what is behind it.
func (e *SubmitError) Unwrap() error { return e.Err }
