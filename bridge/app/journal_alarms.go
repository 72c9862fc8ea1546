package app

import (
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// journalPlace names the journal of this process among those of others that share its NATS; empty
// with the embedded one, which has no others.
func (s *store) journalPlace() string {
	if s.embedded != nil {
		return ""
	}
	return viewName(s.folder.Dir())
}

func (s *store) journalAlarms() bridge.Alarmer { return placed{s.alarms, s.journalPlace()} }

// placed adds the place to the subjects of alarms about a journal. Otherwise the end of what one
// process sees would end that of another one.
type placed struct {
	bridge.Alarmer

	place string
}

// Raise implements [bridge.Alarmer].
func (p placed) Raise(a bridge.Alarm) {
	switch a.Kind {
	case bridge.AlarmJournalFull, bridge.AlarmJournalBehind, bridge.AlarmJournalFailed, bridge.AlarmJournalDamaged, bridge.AlarmSetAside:
		a.Subject = strings.TrimSpace(p.place + " " + a.Subject)
	}
	p.Alarmer.Raise(a)
}
