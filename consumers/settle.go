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
	actSnooze                 // again after the delay; not an attempt
	actGiveBack               // again at once, by whoever is free; not an attempt
	actLeave                  // nothing: another worker may have it
)

func (a action) String() string {
	return [...]string{"done", "retry", "dead", "snoozed", "given_back", "left"}[a]
}

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
	cause  bridge.DeadCause
}

// settle is the whole table from the outcome of an attempt to what is done:
//
//	handler returned nil                             done
//	lease lost                                       left to whoever has it now
//	stopping                                         given back, not an attempt
//	message is not an event                          dead letter: undecodable
//	Refused                                          dead letter: refused
//	Permanent                                        dead letter: permanent
//	Snooze(d)                                        again after d, not an attempt
//	failing for GiveUpAfter                          dead letter: exhausted
//	RetryAfter(d)                                    again after d
//	RetryWithin(d)                                   again after a backoff, at most d
//	any other error, a panic, a timeout              again after a backoff
func settle(o outcome, r Retry, now time.Time) settlement {
	var asked *delayError
	switch {
	case o.err == nil:
		return settlement{action: actAck}
	case errors.Is(o.ended, ErrLeaseLost):
		return settlement{action: actLeave}
	case errors.Is(o.ended, ErrStopping):
		return settlement{action: actGiveBack}
	case errors.Is(o.err, bridge.ErrNotEvent) && o.failures == 0:
		return settlement{action: actDead, cause: bridge.DeadUndecodable}
	case IsRefused(o.err):
		return settlement{action: actDead, cause: bridge.DeadRefused}
	case IsPermanent(o.err):
		return settlement{action: actDead, cause: bridge.DeadPermanent}
	}
	errors.As(o.err, &asked)
	backoff := r.backoff(o.failures)
	switch {
	case asked != nil && asked.kind == uncounted:
		return settlement{action: actSnooze, delay: asked.delay}
	case now.Sub(o.first) >= r.GiveUpAfter:
		return settlement{action: actDead, cause: bridge.DeadExhausted}
	case asked != nil && asked.kind == exactly:
		return settlement{action: actRetry, delay: asked.delay}
	case asked != nil:
		return settlement{action: actRetry, delay: min(backoff, asked.delay)}
	}
	return settlement{action: actRetry, delay: backoff}
}
