package durables

import (
	"fmt"
	"maps"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

const (
	// exhaustedLooks is how many looks in a row must see exhausted events before the alarm:
	// their dead letters may be on the way.
	exhaustedLooks = 4
	// troubleAfter is how long a consumer must fail, or its events wait unread, before the
	// alarm.
	troubleAfter = 5 * time.Minute
	// deadLettersStep is how many more dead letters raise the next alarm.
	deadLettersStep = 10
	// deadLettersPause is the least time between two alarms of dead letters of one consumer. The
	// next alarm includes the dead letters of the pause.
	deadLettersPause = time.Hour
)

// judge raises the alarms that the states call for.
func (w *Watch) judge(states []adminapi.ConsumerState) {
	looks, unread := map[string]int{}, map[string]time.Time{}
	now := w.now()
	maps.DeleteFunc(w.raised, func(_ string, at time.Time) bool { return now.Sub(at) >= deadLettersPause })
	holding := w.orphans.look(states, now)
	for _, s := range states {
		w.deadLetters(s, now)
		if s.Exhausted > 0 {
			looks[s.Name] = w.looks[s.Name] + 1
			if looks[s.Name] >= exhaustedLooks {
				holding = append(holding, exhausted(s))
			}
		}
		switch s.State {
		case consumerstate.Failing:
			if now.Sub(s.Since) >= troubleAfter {
				holding = append(holding, failing(s))
			}
		case consumerstate.Unread:
			since, ok := w.unread[s.Name]
			if !ok {
				since = now
			}
			unread[s.Name] = since
			if now.Sub(since) >= troubleAfter {
				holding = append(holding, notRead(s, since))
			}
		default: // no alarm, or another component raises it
		}
	}
	w.looks, w.unread = looks, unread
	w.lasting.Look(holding...)
}

// deadLetters raises an alarm for the first dead letter of a consumer, and for every further
// ten. The remembered number falls with the dead letters, so that after all are redriven or
// dropped, which clears the alarm, the next one counts as first.
func (w *Watch) deadLetters(s adminapi.ConsumerState, now time.Time) {
	told := w.cfg.Record.DeadLettersTold(s.Name)
	if s.Dead < told {
		w.cfg.Record.TellDeadLetters(s.Name, s.Dead)
		told = s.Dead
		if told == 0 {
			w.cfg.Alarms.Raise(bridge.Alarm{Kind: bridge.AlarmDeadLetters, Subject: s.Name, Text: fmt.Sprintf("consumer %s has no dead letters any more", s.Name), Cleared: true})
		}
	}
	_, fresh := w.raised[s.Name]
	if fresh || s.Dead == told || told > 0 && s.Dead < told+deadLettersStep {
		return
	}
	w.raised[s.Name] = now
	w.cfg.Record.TellDeadLetters(s.Name, s.Dead)
	w.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmDeadLetters, Subject: s.Name,
		Text: fmt.Sprintf("consumer %s gave up on events, dead letters now: %d; see them with hookspan dead list --consumer %s, "+
			"and when the cause is repaired give them again with hookspan dead redrive --consumer %s", s.Name, s.Dead, s.Name, s.Name),
		Details: map[string]any{"consumer": s.Name, "letters": s.Dead, "told_before": told},
	})
}

func exhausted(s adminapi.ConsumerState) bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmExhausted, Subject: s.Name,
		Over: fmt.Sprintf("consumer %s has no events any more that are not delivered and have no dead letter", s.Name),
		Text: fmt.Sprintf("consumer %s has at least %d events that were delivered as often as they may be, and no dead letter says which: "+
			"the server's advisories of them were lost: give it the events of that time again with hookspan events replay, or set it back with hookspan consumers seek", s.Name, s.Exhausted),
		Details: map[string]any{"consumer": s.Name, "events": s.Exhausted, "delivered": s.Delivered},
	}
}

func failing(s adminapi.ConsumerState) bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmConsumerFailing, Subject: s.Name,
		Over: fmt.Sprintf("consumer %s does not fail any more", s.Name),
		Text: fmt.Sprintf("consumer %s has been failing since %s, %d attempts in a row: repair what its last error names; its events come again until then (%s)",
			s.Name, s.Since.UTC().Format(time.RFC3339), s.Failures, s.Reason),
		Details: waiting(s, map[string]any{"since": s.Since, "failures": s.Failures}),
	}
}

func notRead(s adminapi.ConsumerState, since time.Time) bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmConsumerUnread, Subject: s.Name,
		Over: fmt.Sprintf("the events of consumer %s are asked for again, or none waits", s.Name),
		Text: fmt.Sprintf("nobody has asked for the events of consumer %s since %s at least, and %d wait: start the program that reads it, "+
			"or remove what nobody needs with hookspan consumers remove %s", s.Name, since.UTC().Format(time.RFC3339), s.Pending+uint64(s.Unsettled), s.Name),
		Details: waiting(s, map[string]any{"since": since}),
	}
}

func waiting(s adminapi.ConsumerState, details map[string]any) map[string]any {
	details["consumer"], details["pending"], details["unsettled"], details["later"] = s.Name, s.Pending, s.Unsettled, s.Later
	return details
}
