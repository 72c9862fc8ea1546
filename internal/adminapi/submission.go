package adminapi

import (
	"fmt"
	"time"
)

// Limits of a [Submission].
const (
	// MaxSubmission bounds the body, in bytes.
	MaxSubmission     = 1 << 20
	MaxIdempotencyKey = 128
	// IdempotencyLife is how long an idempotency key is remembered.
	IdempotencyLife = 24 * time.Hour
)

// Submission is a request to make a prediction.
type Submission struct {
	Source string
	// Model is the path of the model at the provider, its parts separated by slashes.
	Model string
	// Body is the JSON object for the provider, without webhook_url. If its member stream is
	// true, the provider's answer is relayed as a stream.
	Body []byte
	// Reference, Tenant, Metadata and Deadline are as in [Watch].
	Reference, Tenant string
	Metadata          map[string]string
	Deadline          time.Time
	// IdempotencyKey, unless empty, makes repeating the submission safe: it makes no second
	// prediction. At most [MaxIdempotencyKey] printable ASCII characters.
	IdempotencyKey string
}

// SubmitError is why a submission has no prediction.
type SubmitError struct {
	// Status is the HTTP status of the answer.
	Status int
	// Detail tells the client what is wrong and what to do.
	Detail string
	// RetryAfter is when to try again, 0 if unknown.
	RetryAfter time.Duration
	// Unknown: the provider may have accepted the submission, so the client must not simply
	// repeat it.
	Unknown bool
	// Err is for the log, nil when Detail says everything.
	Err error
}

func (e *SubmitError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("submitting a prediction: %s: %v", e.Detail, e.Err)
	}
	return "submitting a prediction: " + e.Detail
}

// Unwrap returns Err.
func (e *SubmitError) Unwrap() error { return e.Err }
