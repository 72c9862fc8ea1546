package stream

import (
	"cmp"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// told is an alarm that was told. It is forgotten at the time until.
type told struct {
	at, until time.Time
	active    time.Time   // of what does not last: until when it is active
	over      string      // what is said of its end; empty: it does not last
	ends      *time.Timer // of what lasts and has an end to tell at until
}

// remember counts the alarm and reports whether to tell it. An alarm that lasts and is to be told
// gets its Until, and an ID, as several processes may see its cause. The caller holds mu.
func (a *Alarms) remember(alarm *bridge.Alarm) (tell bool) {
	if _, known := a.told[alarm.Kind]; !known && len(a.told) >= alarmKinds {
		alarm.Kind = alarmKindOfRest
	}
	a.total.WithLabelValues(alarm.Kind).Inc()
	of := a.told[alarm.Kind]
	if of == nil {
		of = map[string]*told{}
		a.told[alarm.Kind] = of
	}
	now := time.Now()
	for subject, t := range of {
		if t.ends == nil && !now.Before(t.until) {
			delete(of, subject)
		}
	}
	t := of[alarm.Subject]
	switch {
	case t == nil && len(of) >= alarmSubjects:
		return false
	case t == nil:
		t = &told{}
		of[alarm.Subject] = t
	}
	if alarm.Over == "" {
		t.active = now.Add(alarmActive)
		if alarm.Until.After(now) {
			t.active = alarm.Until
		}
		if now.Sub(t.at) < alarmFresh {
			return false
		}
		t.at = now
		if t.over == "" {
			t.until = now.Add(alarmActive)
		}
		return true
	}
	begins := t.over == ""
	t.over = alarm.Over
	if t.ends != nil {
		t.ends.Stop()
		t.ends = nil
	}
	if t.until = now.Add(alarmLasts); !alarm.Until.IsZero() {
		a.endsIn(t, time.Until(alarm.Until), alarm.Kind, alarm.Subject)
	}
	if !begins && now.Sub(t.at) < alarmRepeat {
		return false
	}
	t.at, alarm.Until, alarm.ID = now, now.Add(alarmLasts).UTC(), cmp.Or(alarm.ID, alarm.Subject+" lasts")
	return true
}

// clear notes that what lasted does not hold any more. It returns false for what does not last. The
// caller holds mu.
func (a *Alarms) clear(alarm bridge.Alarm) bool {
	t := a.told[alarm.Kind][alarm.Subject]
	if t == nil {
		return false
	}
	if t.over == "" {
		t.active = time.Time{}
		return false
	}
	if t.ends == nil || time.Until(t.until) > alarmSettled {
		a.endsIn(t, alarmSettled, alarm.Kind, alarm.Subject)
	}
	return true
}

// endsIn has the end told after d unless the alarm is raised again. The caller holds mu.
func (a *Alarms) endsIn(t *told, d time.Duration, kind, subject string) {
	if t.ends != nil {
		t.ends.Stop()
	}
	var ends *time.Timer
	ends = time.AfterFunc(d, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if t.ends == ends { // it was not raised again while this waited for the lock
			delete(a.told[kind], subject)
			a.tell(bridge.Alarm{Kind: kind, Subject: subject, Text: t.over, Cleared: true, ID: subject + " is over"})
		}
	})
	t.ends, t.until = ends, time.Now().Add(d)
}
