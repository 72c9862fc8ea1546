package natstest

import (
	"slices"
	"sync"

	"github.com/hookspan/hookspan/bridge"
)

// Alarms collects raised alarms. The zero value is ready, and it is safe for concurrent use.
type Alarms struct {
	mu     sync.Mutex
	raised []bridge.Alarm
}

// Raise implements [bridge.Alarmer].
func (a *Alarms) Raise(alarm bridge.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raised = append(a.raised, alarm)
}

// All returns every alarm, the oldest first.
func (a *Alarms) All() []bridge.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.raised)
}

// Take returns every alarm and forgets them.
func (a *Alarms) Take() []bridge.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.raised
	a.raised = nil
	return taken
}

// Of returns the alarms of one kind.
func (a *Alarms) Of(kind string) []bridge.Alarm {
	return slices.DeleteFunc(a.All(), func(alarm bridge.Alarm) bool { return alarm.Kind != kind })
}

// Cleared reports whether the last alarm of one kind is the end of it.
func (a *Alarms) Cleared(kind string) bool {
	of := a.Of(kind)
	return len(of) > 0 && of[len(of)-1].Cleared
}

// Kinds returns the kinds of all alarms, sorted, each once.
func (a *Alarms) Kinds() []string {
	kinds := KindsOf(a.All())
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// KindsOf returns the kind of each alarm.
func KindsOf(alarms []bridge.Alarm) (kinds []string) {
	for _, alarm := range alarms {
		kinds = append(kinds, alarm.Kind)
	}
	return kinds
}
