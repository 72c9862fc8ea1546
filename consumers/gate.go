package consumers

import (
	"context"
	"slices"
	"time"
)

// Gate may be implemented by a [Handler] that at times cannot work at all, such as
// one whose target is away. It is asked before an event is fetched, so that events
// wait in their stream and no attempt is wasted.
type Gate interface {
	// Wait returns when an event may be fetched, or when ctx has ended. It is
	// called by Config.Concurrency goroutines at once.
	Wait(ctx context.Context)
}

// Blocker may be implemented by a [Gate] that knows why it is closed. Operators are
// shown it as the state of the consumer; of any other gate they see only that and
// since when no event may be fetched.
type Blocker interface {
	// Blocked returns since when the handler has not been able to work and why, in
	// one short line without secrets; the zero time says that it is able to. It
	// is called about once a second, by a goroutine of its own, and must not wait.
	Blocked() (since time.Time, reason string)
}

// Middleware wraps a handler, to do something around every attempt.
type Middleware func(next Handler) Handler

// wrap makes the first of list the outermost.
func wrap(h Handler, list []Middleware) Handler {
	for _, around := range slices.Backward(list) {
		h = around(h)
	}
	return h
}
