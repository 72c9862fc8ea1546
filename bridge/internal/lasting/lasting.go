// Package lasting remembers which alarms of what lasts hold, and clears those that do not hold any
// more.
package lasting

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Alarms are those that hold, as one part of the process sees them. They belong to one goroutine.
type Alarms struct {
	to   bridge.Alarmer
	over map[key]string // of those that held at the last look
}

// Again returns the alarm of something that happens again and again, such as refused requests, as one
// of what lasts: it is over when it was not raised for a quarter of an hour, and what says so.
func Again(alarm bridge.Alarm, over string) bridge.Alarm {
	alarm.Over, alarm.Until = over+" for 15 minutes", time.Now().Add(15*time.Minute)
	return alarm
}

// key is what two alarms of one cause have in common.
type key struct{ kind, subject string }

// New returns alarms of which none holds yet.
func New(to bridge.Alarmer) *Alarms { return &Alarms{to: to} }

// Look is told every alarm that holds now, each with its Over. It raises them all, and clears those
// that held at the last look and do not hold any more: the Alarmer knows which of them it has told.
func (a *Alarms) Look(holding ...bridge.Alarm) {
	over := map[key]string{}
	for _, alarm := range holding {
		over[key{alarm.Kind, alarm.Subject}] = alarm.Over
		a.to.Raise(alarm)
	}
	for k, text := range a.over {
		if _, holds := over[k]; !holds {
			a.to.Raise(bridge.Alarm{Kind: k.kind, Subject: k.subject, Text: text, Cleared: true})
		}
	}
	a.over = over
}
