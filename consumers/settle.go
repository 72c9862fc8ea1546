package consumers

import (
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Action is what a consumer does with an event after an attempt.
type Action int

// Actions.
const (
	ActionDone     Action = iota // the event is acknowledged and never comes again
	ActionRetry                  // the event comes again after the delay; the attempt is counted
	ActionDead                   // the event becomes a dead letter and never comes again
	ActionSnooze                 // the event comes again after the delay; no attempt is counted
	ActionGiveBack               // the event goes to any free worker at once; no attempt is counted
	ActionLeave                  // nothing is done: another worker may have the event
)

func (a Action) String() string {
	return [...]string{
		bridge.VerdictDone, bridge.VerdictRetry, bridge.VerdictDead, bridge.VerdictSnoozed, bridge.VerdictGiveBack, bridge.VerdictLeft,
	}[a]
}

type outcome struct {
	err error
	// ended is the cause for which the handler's context had ended, or nil.
	ended error
	// failures counts the failed attempts, this one included; first is when the first one began.
	failures int
	first    time.Time
}

// Verdict is what becomes of an event after an attempt.
type Verdict struct {
	Action Action
	// Delay is the wait before the event comes again, after [ActionRetry] and [ActionSnooze].
	Delay time.Duration
	// Cause is that of the dead letter, after [ActionDead].
	Cause bridge.DeadCause
}

// settle is the whole table from the outcome of an attempt to its verdict:
//
//	handler returned nil                             done
//	lease lost                                       left to the worker that has it now
//	stopping                                         given back, not an attempt
//	message is not an event                          dead letter: undecodable
//	Refused                                          dead letter: refused
//	Permanent                                        dead letter: permanent
//	Snooze(d)                                        again after d, not an attempt
//	failing for GiveUpAfter                          dead letter: exhausted
//	RetryAfter(d)                                    again after d
//	RetryWithin(d)                                   again after a backoff, at most d
//	any other error, a panic, a timeout              again after a backoff
func settle(o outcome, r Retry, now time.Time) Verdict {
	var wanted *delayError
	switch {
	case o.err == nil:
		return Verdict{Action: ActionDone}
	case errors.Is(o.ended, ErrLeaseLost):
		return Verdict{Action: ActionLeave}
	case errors.Is(o.ended, ErrStopping):
		return Verdict{Action: ActionGiveBack}
	case errors.Is(o.err, bridge.ErrNotEvent) && o.failures == 0:
		return Verdict{Action: ActionDead, Cause: bridge.DeadUndecodable}
	case IsRefused(o.err):
		return Verdict{Action: ActionDead, Cause: bridge.DeadRefused}
	case IsPermanent(o.err):
		return Verdict{Action: ActionDead, Cause: bridge.DeadPermanent}
	}
	errors.As(o.err, &wanted)
	backoff := r.backoff(o.failures)
	switch {
	case wanted != nil && wanted.mode == uncounted:
		return Verdict{Action: ActionSnooze, Delay: wanted.delay}
	case now.Sub(o.first) >= r.GiveUpAfter:
		return Verdict{Action: ActionDead, Cause: bridge.DeadExhausted}
	case wanted != nil && wanted.mode == exactly:
		return Verdict{Action: ActionRetry, Delay: wanted.delay}
	case wanted != nil:
		return Verdict{Action: ActionRetry, Delay: min(backoff, wanted.delay)}
	}
	return Verdict{Action: ActionRetry, Delay: backoff}
}
