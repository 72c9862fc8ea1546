package app

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view"
)

const (
	// quarantinePatience is for how long a delivery may be in the quarantine before a person is
	// told.
	quarantinePatience = time.Hour
	// outputsSoon is how long before a provider deletes outputs a person is told, but at most the
	// share of the time for which the provider keeps them.
	outputsSoon, outputsShare = 24 * time.Hour, 4
)

// neglected returns what has waited too long for a person or an archive.
func (w *viewWatch) neglected(waiting view.Waiting, quarantined uint64, now time.Time) (found []bridge.Alarm) {
	if since := waiting.Quarantined; !since.IsZero() && now.Sub(since) >= quarantinePatience {
		found = append(found, bridge.Alarm{
			Kind: bridge.AlarmQuarantined, Subject: w.names.QuarantineStream(), Over: "no delivery has been in the quarantine for an hour",
			Text: fmt.Sprintf("%d authentic deliveries could not become events, and the oldest has been in the quarantine since %s: hookspan quarantine list shows why; "+
				"hookspan quarantine reverify and accept make events of them, and hookspan quarantine drop removes them", max(1, quarantined), since.UTC().Format(time.RFC3339)),
			Details: map[string]any{"deliveries": quarantined, "since": since.UTC()},
		})
	}
	if next := waiting.NextDeleted; w.soon > 0 && !next.IsZero() && next.Sub(now) <= w.soon {
		found = append(found, bridge.Alarm{
			Kind: bridge.AlarmArchiveExpires, Over: "no outputs that lack an archive are about to be deleted any more",
			Text: fmt.Sprintf("%d predictions have outputs that no archive has, and the provider deletes the first at %s: hookspan consumers list shows how the archive does, "+
				"and hookspan predictions list --search 'expires<24h' which they are", waiting.Unarchived, next.UTC().Format(time.RFC3339)),
			Details: map[string]any{"predictions": waiting.Unarchived, "deleted_at": next.UTC()},
		})
	}
	return found
}

// deletedSoon is how long before a provider deletes outputs that no archive has somebody is told;
// 0: the configuration has no archive.
func (a *App) deletedSoon() time.Duration {
	if !a.archives() {
		return 0
	}
	soon := outputsSoon
	for name := range a.cfg.Sources {
		if life := a.cfg.OutputLife(name); life > 0 {
			soon = min(soon, life/outputsShare)
		}
	}
	return soon
}
