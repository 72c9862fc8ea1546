package consumers

import (
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// action is what is done with an event after an attempt.
type action int

const (
	actAck      action = iota // done, never again
	actRetry                  // again after the delay; the attempt is recorded
	actDead                   // a dead letter, then never again
	actGiveBack               // again at once, by whoever is free; not an attempt
	actLeave                  // nothing: another worker may have it
)

func (a action) String() string {
	return [...]string{"done", "retry", "dead", "given_back", "left"}[a]
}

// Cause of a dead letter.
type Cause string

// Causes of dead letters.
const (
	// CausePermanent: the handler said by [Permanent] that nothing can help.
	CausePermanent Cause = "permanent"
	// CauseExhausted: attempts failed for longer than Retry.GiveUpAfter.
	CauseExhausted Cause = "exhausted"
	// CauseUndecodable: the message is not an event of Hookspan.
	CauseUndecodable Cause = "undecodable"
)

// outcome is what is known after an attempt.
type outcome struct {
	// err is what the handler returned.
	err error
	// ended is why the handler's context had ended by then, or nil.
	ended error
	// failures counts the failed attempts, this one included; first is when the
	// first of them began.
	failures int
	first    time.Time
}

type settlement struct {
	action action
	delay  time.Duration
	cause  Cause
}

// settle is the whole table from the outcome of an attempt to what is done:
//
//	handler returned nil                             done
//	lease lost                                       left to whoever has it now
//	stopping                                         given back, not an attempt
//	message is not an event                          dead letter: undecodable
//	Permanent                                        dead letter: permanent
//	failing for GiveUpAfter                          dead letter: exhausted
//	RetryAfter(d)                                    again after d
//	any other error, a panic, a timeout              again after a backoff
func settle(o outcome, r Retry, now time.Time) settlement {
	var after *retryAfterError
	switch {
	case o.err == nil:
		return settlement{action: actAck}
	case errors.Is(o.ended, ErrLeaseLost):
		return settlement{action: actLeave}
	case errors.Is(o.ended, ErrStopping):
		return settlement{action: actGiveBack}
	case errors.Is(o.err, bridge.ErrNotEvent) && o.failures == 0:
		return settlement{action: actDead, cause: CauseUndecodable}
	case IsPermanent(o.err):
		return settlement{action: actDead, cause: CausePermanent}
	case now.Sub(o.first) >= r.GiveUpAfter:
		return settlement{action: actDead, cause: CauseExhausted}
	case errors.As(o.err, &after):
		return settlement{action: actRetry, delay: after.delay}
	}
	return settlement{action: actRetry, delay: r.backoff(o.failures)}
}
