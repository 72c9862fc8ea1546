package view

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Explain returns why the lane of the event stands as it does, and in one sentence what to do
// next. The reason may hold foreign text, such as the last error. Both are empty for an event
// that is handled.
func (l *Lane) Explain(e *TimelineEvent) (reason, remedy string) {
	name := l.Consumer
	if bridge.CheckName("consumer", name) != nil {
		name = "NAME" // it could act in a shell
	}
	again := fmt.Sprintf("hookspan events replay --consumer %s --seq %d", name, e.Sequence)
	switch l.State {
	case LaneHandled:
		return "", ""
	case LaneSettled:
		return "the durable is past the event, and the view did not hear how it ended", "Look in the consumer's own log; to give the event to it again run " + again + " --handled."
	case LaneFailing:
		return l.Reason, fmt.Sprintf("Repair what the error names: the event comes again by itself%s, until the consumer gives up on it.", timeText(" at ", l.Next))
	case LaneWaiting:
		return l.Reason, fmt.Sprintf("Nothing is to be done: the event comes again by itself%s.", timeText(" at ", l.Next))
	case LaneRunning:
		return "the event was delivered, and its attempt has not ended or nobody told how", "Wait for the attempt; if it lasts, see whether the program of the consumer is alive."
	case LaneBehind:
		return "older events are before it", "Wait; if hookspan consumers list shows no progress, raise the consumer's concurrency or rate."
	case LanePaused:
		return "the consumer is paused" + until(l.Until), "Resume it with hookspan consumers resume " + name + "."
	case LaneBlocked:
		return l.Reason, "Repair what the reason names: the consumer tries it by itself, and takes what waits once that is done."
	case LaneUnread:
		return "the event waits, and no program asks for it", "Start the program that reads consumer " + name + ", and look in its log for why it ended."
	case LaneOrphaned:
		return "the configuration does not name the consumer any more", "Name it again in the configuration, or give the event to another consumer with hookspan events replay and remove this one with hookspan consumers remove " + name + "."
	case LaneMissing:
		return "the consumer is configured and has no durable, so nothing is kept for it", "Look in the log of the process that runs it, or make the durable with hookspan provision."
	case LaneDead:
		return l.Reason, fmt.Sprintf("Repair what the error names, then give the event to the consumer again with hookspan dead redrive --seq %d.", l.Dead)
	case LaneNotMeant:
		return "its filter does not pick the event", "If it is to have such events, change its filter in the configuration, then give it this one with " + again + "."
	case LaneBefore:
		return "the consumer began behind the event", "If it is to have the event, give it with " + again + "."
	case LaneForgotten:
		return l.Reason, "Its dead letter was dropped or redriven, or comes in a moment; if it stays away, give the event again with " + again + "."
	}
	return l.Reason, ""
}

func timeText(before string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return before + t.Format(time.RFC3339)
}

// forever is beyond every pause with an end.
const forever = 50 * 365 * 24 * time.Hour

func until(t time.Time) string {
	if time.Until(t) > forever {
		return " until somebody resumes it"
	}
	return timeText(" until ", t)
}
