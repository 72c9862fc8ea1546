package bridge

import (
	"errors"
)

// Errors of publishing. An error of a publisher wraps exactly one of them; any other error
// is a fault of the program itself.
var (
	// ErrFull: the store has no room and has stored nothing. The sender should try again
	// later.
	ErrFull = errors.New("event store is full")

	// ErrUnavailable: the store cannot be reached or cannot serve. The event was surely not
	// stored.
	ErrUnavailable = errors.New("event store is unavailable")

	// ErrUnknown: no conclusive answer came. The event may or may not be stored; publishing
	// it again with the same id is safe.
	ErrUnknown = errors.New("it is not known whether the event was stored")

	// ErrTooLarge: the event can never be stored within the store's limits.
	ErrTooLarge = errors.New("event is too large for the store")
)

// ErrNotEvent is wrapped by [DecodeEvent] when a message is not an event of Hookspan.
var ErrNotEvent = errors.New("not a Hookspan event")

// ErrOtherKind is wrapped by [Event.Prediction], [Event.Archived], [Event.Watch] and
// [Event.Lost] when the event is of another kind.
var ErrOtherKind = errors.New("event is of another kind")

// ErrNotFound means that the entry does not exist, or no longer.
var ErrNotFound = errors.New("no such entry")

// ErrName is wrapped by [CheckName] when a name cannot be used on the wire.
var ErrName = errors.New("not a usable name")
