package consumers

import (
	"context"
	"slices"
	"time"
)

// Gate may be implemented by a [Handler] that cannot work at times, for example because its
// target is away. The consumer asks the gate before it fetches an event, so that events wait in
// their stream and no attempt is wasted.
type Gate interface {
	// Wait returns when an event may be fetched, or when ctx has ended. Config.Concurrency
	// goroutines call Wait at once.
	Wait(ctx context.Context)
}

// Blocker may be implemented by a [Gate] that knows why it is closed. Operators see the reason
// in the state of the consumer. Of a gate without a reason they see only since when no event
// may be fetched.
type Blocker interface {
	// Blocked returns since when the handler cannot work, and why, in one short line without
	// secrets. The zero time says that the handler can work. The consumer calls Blocked about
	// once a second, in a goroutine of its own, and Blocked must not wait.
	Blocked() (since time.Time, reason string)
}

// Middleware wraps a handler, to do something around every attempt.
type Middleware func(next Handler) Handler

// wrap applies the middleware; the first of list becomes the outermost.
func wrap(h Handler, list []Middleware) Handler {
	for _, around := range slices.Backward(list) {
		h = around(h)
	}
	return h
}
