package view

import (
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// LaneState is what became of an event with a consumer, in one token.
type LaneState string

// States of a lane.
const (
	LaneHandled   LaneState = "handled"       // an attempt succeeded
	LaneSettled   LaneState = "settled"       // the durable is past the event, and nobody told how
	LaneFailing   LaneState = "failing"       // an attempt failed, and the event comes again
	LaneWaiting   LaneState = "waiting"       // the event comes again, and no attempt has failed
	LaneRunning   LaneState = "running"       // the event was delivered, and nobody told of its attempt yet
	LaneBehind    LaneState = "behind"        // the consumer has not come to the event yet
	LanePaused    LaneState = "paused"        // the event waits for the end of a pause
	LaneBlocked   LaneState = "blocked"       // the event waits while the handler lets none be fetched, e.g. for an open breaker
	LaneUnread    LaneState = "unread"        // the event waits, and no program asks for it
	LaneOrphaned  LaneState = "orphaned"      // the event waits for a consumer that the configuration does not name any more
	LaneMissing   LaneState = "missing"       // the consumer is configured and has no durable
	LaneDead      LaneState = "dead_letter"   // the consumer gave up on the event
	LaneNotMeant  LaneState = "not_meant"     // the consumer's filter does not pick the event
	LaneBefore    LaneState = "before_start"  // the consumer was made later, and began behind the event
	LaneForgotten LaneState = "dead_not_kept" // it was a dead letter, which was dropped, redriven, or is still to come
)

var laneWords = map[LaneState]string{
	LaneHandled: "handled", LaneSettled: "handled, details unknown", LaneFailing: "failing", LaneWaiting: "waiting for another attempt",
	LaneRunning: "being handled", LaneBehind: "behind the position", LanePaused: "waiting in a pause", LaneBlocked: "blocked",
	LaneUnread: "nobody asks for it", LaneOrphaned: "waiting for an orphaned consumer", LaneMissing: "the consumer has no durable", LaneDead: "dead letter",
	LaneNotMeant: "not for this filter", LaneBefore: "before the consumer's start", LaneForgotten: "dead letter, not there any more or not yet",
}

// Words is the state for people.
func (s LaneState) Words() string { return laneWords[s] }

// ConsumerInfo is what [Lanes] has to know of a consumer.
type ConsumerInfo struct {
	Name string
	// Subjects are those that its durable reads, copies too.
	Subjects []string
	// Missing: it is configured and has no durable. Orphaned: it has one and the
	// configuration does not name it.
	Missing, Orphaned bool
	// PausedUntil is zero unless it is paused. Blocked is why its handler lets no event be
	// fetched, empty while it does.
	PausedUntil time.Time
	Blocked     string
	// First is the first sequence that it was to get, and Since when that was stored at the
	// earliest; zero for the first of the stream. Delivered is the newest delivered sequence,
	// and up to Acknowledged nothing is needed any more.
	First                   uint64
	Since                   time.Time
	Delivered, Acknowledged uint64
	// Unread: events wait, and no program asks for them.
	Unread bool
	// Idle: no event waits, is being handled, or comes again.
	Idle bool
}

// Lane is what became of one event with one consumer.
type Lane struct {
	Consumer string
	State    LaneState
	// Last is the last attempt that is known, nil for none, and Failed the failed ones.
	Last   *Try
	Failed []Try
	// Next is when the event comes again, Until the end of a pause; zero when unknown.
	Next, Until time.Time
	// Reason is the last error, or why the handler is blocked.
	Reason string
	// Dead is the sequence of the dead letter, Cause why there is one.
	Dead  uint64
	Cause bridge.DeadCause
}

// Lanes returns a lane for each consumer, and for each that has told of an attempt on the
// event or has a dead letter of it and is not among the consumers, by name. Dead may hold
// dead letters of other events.
func Lanes(e TimelineEvent, dead []DeadLetter, consumers []ConsumerInfo) []Lane {
	consumers = slices.Clone(consumers)
	unknown := func(name string) {
		if name != "" && !slices.ContainsFunc(consumers, func(c ConsumerInfo) bool { return c.Name == name }) {
			consumers = append(consumers, ConsumerInfo{Name: name, Orphaned: true})
		}
	}
	for _, a := range e.Attempts {
		unknown(a.Consumer)
	}
	for _, d := range dead {
		if d.Event == e.ID {
			unknown(d.Consumer)
		}
	}
	slices.SortFunc(consumers, func(a, b ConsumerInfo) int { return strings.Compare(a.Name, b.Name) })
	lanes := make([]Lane, len(consumers))
	for i, c := range consumers {
		lanes[i] = laneOf(&e, dead, &c)
	}
	return lanes
}

func laneOf(e *TimelineEvent, dead []DeadLetter, c *ConsumerInfo) Lane {
	l := Lane{Consumer: c.Name}
	for _, a := range e.Attempts {
		if a.Consumer == c.Name {
			l.Last, l.Failed, l.Next, l.Reason = &a.Try, a.Failed, a.Next, a.Try.Error
		}
	}
	for _, d := range dead { // the newest first
		if d.Event != e.ID || d.Consumer != c.Name {
			continue
		}
		// After a dead letter only a redrive brings another attempt.
		if l.Last == nil || l.Last.Verdict == bridge.VerdictDead || !l.Last.At.After(d.Stored) {
			l.State, l.Dead, l.Cause, l.Reason, l.Next = LaneDead, d.Sequence, d.Cause, d.Error, time.Time{}
			return l
		}
		break
	}
	switch {
	case l.Last == nil:
		l.State = withoutAttempt(e, c)
	case l.Last.Verdict == bridge.VerdictDone:
		l.State = LaneHandled
	case l.Last.Verdict == bridge.VerdictSkipped:
		l.State = LaneNotMeant
	case l.Last.Verdict == bridge.VerdictDead:
		l.State = LaneForgotten
	case c.Idle && !c.Orphaned: // a later attempt was not heard of
		l.State, l.Next = LaneSettled, time.Time{}
	case l.Last.Verdict == bridge.VerdictRetry:
		l.State = LaneFailing
	default:
		l.State = LaneWaiting
	}
	l.obstacle(c)
	return l
}

// withoutAttempt tells by the durable what became of an event that nobody told of.
func withoutAttempt(e *TimelineEvent, c *ConsumerInfo) LaneState {
	picks := func(pattern string) bool { return streamread.SubjectMatches(pattern, e.Subject) }
	switch {
	case c.Missing:
		return LaneMissing
	case len(c.Subjects) > 0 && !slices.ContainsFunc(c.Subjects, picks):
		return LaneNotMeant
	case e.Sequence < c.First, e.StoredAt.Before(c.Since):
		return LaneBefore
	case e.Sequence <= c.Acknowledged:
		return LaneSettled
	case e.Sequence <= c.Delivered:
		return LaneRunning
	}
	return LaneBehind
}

// obstacle replaces the state of an event that waits by what it waits for.
func (l *Lane) obstacle(c *ConsumerInfo) {
	switch l.State {
	case LaneFailing, LaneWaiting, LaneBehind, LaneRunning:
	default:
		return
	}
	switch {
	case c.Orphaned:
		l.State = LaneOrphaned
	case l.State == LaneRunning: // it has the event already
	case !c.PausedUntil.IsZero():
		l.State, l.Until = LanePaused, c.PausedUntil
	case c.Blocked != "":
		l.State, l.Reason = LaneBlocked, c.Blocked
	case c.Unread:
		l.State = LaneUnread
	}
}
