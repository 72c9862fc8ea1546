package durables

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// orphans holds since when each orphaned consumer is unread, by name.
type orphans map[string]time.Time

// look returns the orphaned consumers that were unread for a while. During a deployment another
// bridge, with another configuration, may read them.
func (o *orphans) look(states []adminapi.ConsumerState, now time.Time) (found []bridge.Alarm) {
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
			found = append(found, bridge.Alarm{
				Kind: bridge.AlarmConsumerOrphaned, Subject: s.Name, Text: Orphan(s),
				Over:    fmt.Sprintf("consumer %s is in the configuration again, is removed, or another bridge reads it", s.Name),
				Details: map[string]any{"consumer": s.Name, "waiting": s.Outstanding()},
			})
		}
	}
	*o = next
	return found
}

// Orphan explains an orphaned consumer and the remedy.
func Orphan(s adminapi.ConsumerState) string {
	return fmt.Sprintf("consumer %s is not in the configuration any more, and %d events wait for it: name it again, "+
		"or give them to another consumer with hookspan events replay, and then remove it with hookspan consumers remove %s",
		s.Name, s.Outstanding(), s.Name)
}
