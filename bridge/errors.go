package bridge

import (
	"errors"
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

// ErrNotFound means that there is no entry at that place, or no longer.
var ErrNotFound = errors.New("no such entry")

// ErrName is wrapped by [CheckName] when a name cannot be used on the wire.
var ErrName = errors.New("not a usable name")
