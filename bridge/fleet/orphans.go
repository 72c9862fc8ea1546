package fleet

import (
	"fmt"

	"github.com/hookspan/hookspan/bridge"
)

// orphanLooks is in how many looks in a row nobody must have asked for the events of an
// orphaned consumer until there is an alarm. Another bridge, with another configuration,
// may be reading it, as in the middle of a deployment.
const orphanLooks = 2

// orphans counts the looks in a row at which nobody read an orphaned consumer, by name.
type orphans map[string]int

// look raises an alarm for each orphaned consumer that nobody reads.
func (o *orphans) look(states []bridge.ConsumerState, alarms bridge.Alarmer) {
	unread := orphans{}
	for _, s := range states {
		if !s.Orphaned || s.Waiting > 0 {
			continue
		}
		unread[s.Name] = (*o)[s.Name] + 1
		if unread[s.Name] >= orphanLooks {
			alarms.Raise(bridge.Alarm{
				Kind: bridge.AlarmConsumerOrphaned, Subject: s.Name, Text: Orphan(s),
				Details: map[string]any{"consumer": s.Name, "waiting": s.Outstanding()},
			})
		}
	}
	*o = unread
}

// Orphan says in words what an orphaned consumer is, and what to do.
func Orphan(s bridge.ConsumerState) string {
	return fmt.Sprintf("consumer %s is not in the configuration any more, and %d events wait for it: name it again, "+
		"or give them to another consumer with hookspan events replay, and then remove it with hookspan consumers remove %s",
		s.Name, s.Outstanding(), s.Name)
}
