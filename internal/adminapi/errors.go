package adminapi

import (
	"errors"
)

// ErrNoConsumer means that there is no durable of that name.
var ErrNoConsumer = errors.New("no such consumer")

// ErrNoSource means that the configuration has no source of that name.
var ErrNoSource = errors.New("no such source")

// ErrBusy means that as many are served as can be; try again later.
var ErrBusy = errors.New("too many are served already")

// ErrConfigured means that the configuration names a consumer, so it would come back
// at once.
var ErrConfigured = errors.New("the configuration names this consumer")

// ErrPredictionsConsumer means that the ledger of predictions reads by the consumer, which is
// always where the ledger is.
var ErrPredictionsConsumer = errors.New("the ledger of predictions reads by this consumer")

// ErrConsumerExists means that there is a durable of that name already.
var ErrConsumerExists = errors.New("consumer exists")
