package bridge

import (
	"errors"
	"time"
)

// How a publish can fail. An error of a publisher wraps exactly one of them;
// anything else is a fault of the program itself.
var (
	// ErrFull: the store is up and refuses the event because it has no room.
	// Nothing was stored. The sender should try again later.
	ErrFull = errors.New("event store is full")

	// ErrUnavailable: the store cannot be reached or cannot serve. The event
	// was surely not stored.
	ErrUnavailable = errors.New("event store is unavailable")

	// ErrUnknown: no answer came, or one that proves nothing. The event may or
	// may not be stored; publishing it again with the same id is safe.
	ErrUnknown = errors.New("it is not known whether the event was stored")

	// ErrTooLarge: the event can never be stored with the store's limits.
	ErrTooLarge = errors.New("event is too large for the store")
)

// ErrNotEvent is wrapped by [DecodeEvent] when a message is not one of ours.
var ErrNotEvent = errors.New("not a Hookspan event")

// ErrOtherKind is wrapped by [Event.Prediction] and [Event.Archived] when the event
// is of another kind.
var ErrOtherKind = errors.New("event is of another kind")

// ErrNotKept is wrapped by [DecodeWithheld] when a message is not one of ours.
var ErrNotKept = errors.New("not a delivery that Hookspan kept")

// ErrNoEntry means that there is no entry at that place, or no longer.
var ErrNoEntry = errors.New("no such entry")

// ErrNoConsumer means that there is no durable of that name.
var ErrNoConsumer = errors.New("no such consumer")

// ErrNoSource means that the configuration has no source of that name.
var ErrNoSource = errors.New("no such source")

// ErrBusy means that as many are served as can be; try again later.
var ErrBusy = errors.New("too many are served already")

// ErrName is wrapped by [CheckName] when a name cannot be used on the wire.
var ErrName = errors.New("not a usable name")

// ErrConfigured means that the configuration names a consumer, so it would come back
// at once.
var ErrConfigured = errors.New("the configuration names this consumer")

// ErrPredictionsConsumer means that the ledger of predictions reads by the consumer, which is
// always where the ledger is.
var ErrPredictionsConsumer = errors.New("the ledger of predictions reads by this consumer")

// ErrConsumerExists means that there is a durable of that name already.
var ErrConsumerExists = errors.New("consumer exists")

// ErrNotAtProvider means that the provider does not know the prediction.
var ErrNotAtProvider = errors.New("the provider does not know the prediction")

// TryLaterError means that the provider does not answer now, and when to ask again.
type TryLaterError struct {
	// After is how long to leave it alone, zero when it did not say.
	After time.Duration
	Err   error
}

func (e *TryLaterError) Error() string { return e.Err.Error() }

// Unwrap returns what the provider said.
func (e *TryLaterError) Unwrap() error { return e.Err }
