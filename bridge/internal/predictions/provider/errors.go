package provider

import (
	"errors"
	"time"
)

// ErrNoPrediction means that the provider does not know the prediction.
var ErrNoPrediction = errors.New("the provider does not know the prediction")

// TryLaterError means that the provider refuses to answer now.
type TryLaterError struct {
	// After is how long to wait, zero when the provider did not say.
	After time.Duration
	Err   error
}

func (e *TryLaterError) Error() string { return e.Err.Error() }

// Unwrap returns the provider's error.
func (e *TryLaterError) Unwrap() error { return e.Err }
