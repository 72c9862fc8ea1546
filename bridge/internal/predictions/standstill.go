package predictions

import (
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/printable"
)

// standstill knows for how long the terms of this process have brought nothing into the
// prediction store.
type standstill struct {
	since  time.Time
	ended  time.Time // the last term
	id     string    // of the prediction store
	folded uint64    // the last event that any term has brought into it
}

// note is told of a leadership that has ended, and why. It returns true when a person must
// know that the prediction store stands still.
func (s *standstill) note(t *leadership, now time.Time, err error) bool {
	if id := t.meta.ID; id != "" && id != s.id {
		s.id, s.folded, s.since = id, 0, t.started
	}
	folded := t.foldedTo.Load()
	switch {
	case folded > s.folded || t.current.Load() > 0: // it went on
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

// alarm is what is said of a prediction store that stands still for that reason.
func (s *standstill) alarm(stream string, err error) bridge.Alarm {
	return bridge.Alarm{
		Kind: bridge.AlarmPredictionsStuck, Subject: stream,
		Text: printable.Sentences(
			fmt.Sprintf("the prediction store stands still since %s, behind event %d: %v", s.since.UTC().Format(time.RFC3339), s.folded, err),
			"Webhooks are accepted and kept for it, but nobody learns the end of a prediction from it, and nobody is asked for one whose webhook does not come: see to that, or report it"),
		Details: map[string]any{"since": s.since.UTC(), "folded": s.folded, "error": err.Error()},
	}
}
