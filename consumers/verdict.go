package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Permanent returns an error that says no further attempt can help: the event
// becomes a dead letter now. It returns nil for a nil err.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error that it wraps, came from
// [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// RetryAfter returns an error that asks for the next attempt after d, instead of
// after the backoff that the consumer would choose. It is a failed attempt like
// any other. A d under zero counts as zero, one over [MaxRetryDelay] as
// MaxRetryDelay. It returns nil for a nil err.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, min(max(d, 0), MaxRetryDelay)}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// panicError is what a handler's panic becomes.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.value) }

// Reasons for which a handler's context ends.
var (
	// ErrStopping is the cause when the consumer stops and the handler did not
	// finish within its grace. The event is given back and the attempt does not
	// count.
	ErrStopping = errors.New("consumer is stopping")

	// ErrTimeout is the cause when an attempt takes longer than Config.Timeout.
	ErrTimeout = errors.New("attempt took too long")

	// ErrLeaseLost is the cause when the server could not be told for so long
	// that the event is still being worked on that another worker may have it.
	ErrLeaseLost = errors.New("lease on the event was lost")
)

// maxNote bounds what is kept of a note, in bytes.
const maxNote = 1 << 10

// Note attaches text to the attempt that ctx belongs to; a later call replaces
// it. It is kept with a failed attempt, in the log line of every attempt, and in
// the dead letter. More than 1 KiB is cut. Without an attempt in ctx it does
// nothing, so a handler can be tested on its own.
func Note(ctx context.Context, text string) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		n.set(truncate(text, maxNote))
	}
}

type noteKey struct{}

type note struct {
	mu   sync.Mutex
	text string
}

func (n *note) set(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = text
}

func (n *note) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text
}
