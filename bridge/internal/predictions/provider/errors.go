package provider

import (
	"errors"
	"time"
)

// ErrNoPrediction means that the provider does not know the prediction.
var ErrNoPrediction = errors.New("the provider does not know the prediction")

// TryLaterError means that the provider does not answer now, and when to ask again.
type TryLaterError struct {
	// After is how long to leave it alone, zero when it did not say.
	After time.Duration
	Err   error
}

func (e *TryLaterError) Error() string { return e.Err.Error() }

// Unwrap returns what the provider said.
func (e *TryLaterError) Unwrap() error { return e.Err }
