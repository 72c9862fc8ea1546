package consumers

import (
	"context"
	"slices"
)

// Gate may be implemented by a [Handler] that at times cannot work at all, such as
// one whose target is away. It is asked before an event is fetched, so that events
// wait in their stream and no attempt is wasted.
type Gate interface {
	// Wait returns when an event may be fetched, or when ctx has ended. It is
	// called by Config.Concurrency goroutines at once.
	Wait(ctx context.Context)
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
