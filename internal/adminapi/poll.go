package adminapi

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// PollCall says for which prediction the provider is polled now.
type PollCall struct {
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
}

// PollResult is what the provider says of a prediction.
type PollResult string

// What a provider says.
const (
	PollEnded    PollResult = "ended"     // it has ended, and its end is an event now
	PollOpen     PollResult = "open"      // it has not ended
	PollNotFound PollResult = "not_found" // the provider does not know it
)

// Polled is what a poll was answered.
type Polled struct {
	Result PollResult `json:"result"`
	// Said is the status as the provider writes it, empty when it knows nothing.
	Said string `json:"said,omitempty"`
	// Stored says what became of the end, and ID is its event; empty without an end.
	Stored bridge.Result `json:"stored,omitempty"`
	ID     string        `json:"id,omitempty"`
}

// TestCall asks for a test event of a source.
type TestCall struct {
	Source string `json:"source"`
}

// TestEvent is a test event that was sent.
type TestEvent struct {
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
	// Result is what the bridge has answered, and ID the event.
	Result bridge.Result `json:"result"`
	ID     string        `json:"id"`
}

// Refusal is why a part of the bridge, or somebody whom it asked, did not do what was called for.
type Refusal struct {
	// Status is the HTTP status of the answer.
	Status int
	// Detail tells the client what is wrong and what to do.
	Detail string
	// RetryAfter is when to try again, 0 if unknown.
	RetryAfter time.Duration
	// Err is for the log, nil when Detail says everything.
	Err error
}

func (e *Refusal) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Refusal) Unwrap() error { return e.Err }
