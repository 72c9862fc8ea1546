package durables

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// orphans says since when nobody reads an orphaned consumer, by name.
type orphans map[string]time.Time

// look raises an alarm for each orphaned consumer that nobody has read for a while.
// Another bridge, with another configuration, may be reading it, as in the middle of a
// deployment.
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

// Orphan says in words what an orphaned consumer is, and what to do.
func Orphan(s adminapi.ConsumerState) string {
	return fmt.Sprintf("consumer %s is not in the configuration any more, and %d events wait for it: name it again, "+
		"or give them to another consumer with hookspan events replay, and then remove it with hookspan consumers remove %s",
		s.Name, s.Outstanding(), s.Name)
}
