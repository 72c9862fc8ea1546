// Package lasting raises alarms of what lasts: once when it begins, again every hour, and once
// more when it is over.
package lasting

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// repeat is after how long an alarm is raised again while what it tells of lasts.
	repeat = time.Hour
	// settled is for how long a condition must not hold before it is over: what comes and goes is
	// one alarm.
	settled = 10 * time.Minute
	// margin is for how long an alarm stays active beyond its repetition, which may be late.
	margin = 5 * time.Minute
)

// Condition is something that holds, with its alarm. Two conditions are the same when their
// alarms have one kind and subject.
type Condition struct {
	bridge.Alarm

	// Over is what is said when the condition does not hold any more.
	Over string
}

// Alarms raises alarms of conditions. It belongs to one goroutine.
type Alarms struct {
	to   bridge.Alarmer
	told map[key]*told
}

type key struct{ kind, subject string }

// told is a condition whose alarm was raised.
type told struct {
	raised time.Time
	gone   time.Time // since when it does not hold; zero: it holds
	over   string
}

// New returns alarms that know of no condition yet.
func New(to bridge.Alarmer) *Alarms { return &Alarms{to: to, told: map[key]*told{}} }

// Look is told every condition that holds at now. It raises an alarm of each that is new, or
// whose alarm is an hour old, and an alarm that is Cleared of each that has not held for ten
// minutes. The same alarm of several processes is one. After a restart what held before is new; what has ended meanwhile is not told.
func (a *Alarms) Look(now time.Time, holding []Condition) {
	holds := map[key]bool{}
	for _, c := range holding {
		k := key{c.Kind, c.Subject}
		holds[k] = true
		t := a.told[k]
		if t == nil {
			t = &told{}
			a.told[k] = t
		}
		t.gone, t.over = time.Time{}, c.Over
		if now.Sub(t.raised) >= repeat {
			t.raised = now
			c.ID = k.subject + " lasts" // several processes may see it
			c.Until = now.Add(repeat + settled + margin).UTC()
			a.to.Raise(c.Alarm)
		}
	}
	for k, t := range a.told {
		switch {
		case holds[k]:
		case t.gone.IsZero():
			t.gone = now
		case now.Sub(t.gone) >= settled:
			delete(a.told, k)
			a.to.Raise(bridge.Alarm{Kind: k.kind, Subject: k.subject, Text: t.over, Cleared: true, ID: k.subject + " is over"})
		}
	}
}
