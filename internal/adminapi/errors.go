package adminapi

import (
	"errors"
)

// ErrNoConsumer means that there is no durable of that name.
var ErrNoConsumer = errors.New("no such consumer")

// ErrNoSource means that the configuration has no source of that name.
var ErrNoSource = errors.New("no such source")

// ErrBusy means that the limit of concurrent calls is reached; try again later.
var ErrBusy = errors.New("too many are served already")

// ErrNoAnswer means that NATS does not answer.
var ErrNoAnswer = errors.New("NATS does not answer")

// ErrConfigured means that the configuration names the consumer, which would come back at once.
var ErrConfigured = errors.New("the configuration names this consumer")

// ErrPredictionsConsumer means that the name is that of the dead letters of predictions that
// were given up.
var ErrPredictionsConsumer = errors.New("the dead letters of predictions have this name")

// ErrConsumerExists means that there is already a durable of that name.
var ErrConsumerExists = errors.New("consumer exists")

// ErrNoArchive means that no archive of the configuration has the address.
var ErrNoArchive = errors.New("no archive has this address")

// CannotServe is the error of a call for which NATS is not what it needs to be. The text is for the
// caller, and says what to do.
type CannotServe struct{ Text string }

// Error implements error.
func (c CannotServe) Error() string { return c.Text }
