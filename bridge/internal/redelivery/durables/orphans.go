package durables

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// orphans holds since when each orphaned consumer is unread, by name.
type orphans map[string]time.Time

// look raises an alarm for each orphaned consumer that was unread for a while. During a
// deployment another bridge, with another configuration, may read it.
func (o *orphans) look(states []adminapi.ConsumerState, now time.Time, alarms bridge.Alarmer) {
	next := orphans{}
	for _, s := range states {
		if !s.Orphaned || s.Waiting > 0 || s.Outstanding() > 0 && !s.Unread {
			continue
		}
		since, ok := (*o)[s.Name]
		if !ok {
			since = now
		}
		next[s.Name] = since
		if now.Sub(since) >= troubleAfter {
			alarms.Raise(bridge.Alarm{
				Kind: bridge.AlarmConsumerOrphaned, Subject: s.Name, Text: Orphan(s),
				Details: map[string]any{"consumer": s.Name, "waiting": s.Outstanding()},
			})
		}
	}
	*o = next
}

// Orphan explains an orphaned consumer and the remedy.
func Orphan(s adminapi.ConsumerState) string {
	return fmt.Sprintf("consumer %s is not in the configuration any more, and %d events wait for it: name it again, "+
		"or give them to another consumer with hookspan events replay, and then remove it with hookspan consumers remove %s",
		s.Name, s.Outstanding(), s.Name)
}
