package predictions

import (
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/printable"
)

// standstill measures for how long the leaderships of this process have folded nothing.
type standstill struct {
	since  time.Time
	ended  time.Time // of the last leadership
	id     string    // of this build of the store
	folded uint64    // the last event that any leadership has folded
}

// note is told that a leadership has ended with err. It returns true when a person must
// know that the prediction store stands still.
func (s *standstill) note(t *leadership, now time.Time, err error) bool {
	if id := t.meta.ID; id != "" && id != s.id {
		s.id, s.folded, s.since = id, 0, t.started
	}
	folded := t.foldedTo.Load()
	switch {
	case folded > s.folded || t.current.Load() > 0: // it made progress
		s.since = now
		if !t.movedAt.IsZero() && !errors.Is(err, poller.ErrNotLeader) {
			s.since = t.movedAt
		}
	case t.started.Sub(s.ended) > t.times.stuck+lastRetry: // another process has led
		s.since = t.started
	}
	s.folded, s.ended = max(s.folded, folded), now
	return now.Sub(s.since) >= t.times.stuck
}

// alarm is the alarm about a standstill with that reason.
func (s *standstill) alarm(stream string, err error) bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmPredictionsStuck, Subject: stream,
		Text: printable.Sentences(
			fmt.Sprintf("the prediction store stands still since %s, behind event %d: %v", s.since.UTC().Format(time.RFC3339), s.folded, err),
			"Webhooks are accepted and kept for it, but nobody learns the end of a prediction from it, and nobody is asked for one whose webhook does not come: see to that, or report it"),
		Details: map[string]any{"since": s.since.UTC(), "folded": s.folded, "error": err.Error()},
	}
}
