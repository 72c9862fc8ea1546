package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// Permanent returns an error that says that no further attempt can help: the event becomes a
// dead letter now. For a nil err Permanent returns nil, which is done, so that the result of a
// call can be passed through. [Refused], [RetryAfter] and [RetryWithin] do the same.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error that it wraps, came from [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// IsRefused reports whether err, or an error that it wraps, came from [Refused].
func IsRefused(err error) bool {
	var r *refusedError
	return errors.As(err, &r)
}

// Refused is [Permanent] for an event that the target of the handler does not want: the dead
// letter says that the fault is not ours. For a nil err Refused returns nil.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{&refusedError{err}}
}

// RetryAfter returns an error that asks for the next attempt after d, instead of after the
// backoff that the consumer would choose. The attempt counts as a failed one. A d under zero
// counts as zero, and one over [MaxRetryDelay] as MaxRetryDelay. For a nil err RetryAfter returns
// nil: an attempt without an error succeeded.
func RetryAfter(err error, d time.Duration) error { return delayed(err, exactly, d) }

// RetryWithin returns an error that asks for the next attempt after the backoff that the
// consumer would choose, but after d at the latest, because what the handler needs will be gone
// some time. The attempt counts as a failed one. For a nil err RetryWithin returns nil.
func RetryWithin(err error, d time.Duration) error { return delayed(err, atMost, d) }

// Snooze returns an error that says that the handler did not try: the event comes again after d,
// at most [ShortRetryDelay], and no attempt is counted. Snooze is for handlers that find that
// what they need is away; a [Gate] keeps them from being called at all. Err says why, for the
// log. With a nil err the event comes again all the same, since nothing was tried.
func Snooze(err error, d time.Duration) error {
	if err == nil {
		err = errSnoozed
	}
	return delayed(err, uncounted, min(d, ShortRetryDelay))
}

var errSnoozed = errors.New("the handler did not try")

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

type delayMode int

const (
	exactly delayMode = iota
	atMost
	uncounted
)

type delayError struct {
	err   error
	mode  delayMode
	delay time.Duration
}

func (e *delayError) Error() string { return e.err.Error() }
func (e *delayError) Unwrap() error { return e.err }

func delayed(err error, mode delayMode, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &delayError{err, mode, min(max(d, 0), MaxRetryDelay)}
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.value) }

// Reasons for which a handler's context ends.
var (
	// ErrStopping is the cause when the consumer stops and the handler did not finish within
	// Config.Grace. The event is given back and the attempt does not count.
	ErrStopping = errors.New("consumer is stopping")

	// ErrTimeout is the cause when an attempt takes longer than Config.Timeout.
	ErrTimeout = errors.New("attempt took too long")

	// ErrLeaseLost is the cause when the lease on the event could not be extended for so long
	// that another worker may have the event.
	ErrLeaseLost = errors.New("lease on the event was lost")
)

// maxLastNote bounds the note of the last attempt, in bytes. Encoded in the header of a dead
// letter such a note still leaves room for others.
const maxLastNote = 16 << 10

// Note attaches text to the attempt that ctx belongs to; a later call replaces the text. The
// consumer keeps the note with a failed attempt, in the log line of every attempt, and in the
// dead letter. A note is cut to 16 KiB, and to 1 KiB in the log and once there is a later
// attempt. Without an attempt in ctx Note does nothing, so a handler can be tested on its own.
func Note(ctx context.Context, text string) {
	if in, ok := ctx.Value(attemptKey{}).(*attemptInfo); ok {
		in.note.set(printable.Truncate(text, maxLastNote))
	}
}

// Attempt says which attempt a handler is called for.
type Attempt struct {
	// Consumer is the name of the consumer.
	Consumer string
	// Number counts the attempts on the event, from 1 on, without those that were given back or
	// snoozed.
	Number int
	// First is when the first of these attempts began, since the event was last a dead letter.
	First time.Time
	// FirstFailed is when the first attempt had failed, zero in a first attempt. An attempt that
	// has to wait ends long after it began.
	FirstFailed time.Time
	// Repeat says that an earlier attempt may have ended in the middle, because its process
	// was killed or did not let it finish. Nobody knows how far that attempt came.
	Repeat bool
}

// IdempotencyKey returns the key by which a target can know ev: the same key for every attempt
// of this consumer, also after a redrive or a replay, and another key for any other consumer or
// event. The key is printable ASCII.
func (a Attempt) IdempotencyKey(ev *bridge.Event) string {
	return bridge.MsgID(a.Consumer, ev.Source, ev.ID)
}

// AttemptOf returns the attempt that ctx belongs to. For a ctx without one AttemptOf returns a
// first attempt, so that a handler can be tested on its own.
func AttemptOf(ctx context.Context) Attempt {
	if in, ok := ctx.Value(attemptKey{}).(*attemptInfo); ok {
		return in.Attempt
	}
	return Attempt{Number: 1, First: time.Now()}
}

type attemptKey struct{}

type attemptInfo struct {
	Attempt

	note note
}

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
