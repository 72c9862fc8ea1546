package app

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	viewLook = 10 * time.Second
	// viewPatience is for how long a view may fail, or lack the events of a moment ago, before
	// a person is told. A view that is being made anew has as long as it makes progress.
	viewPatience = time.Minute
)

// viewHealth judges what was seen of a view.
type viewHealth struct {
	fine   time.Time // when the view was last up to date, or made progress
	folded uint64
}

// look returns what is wrong with the view, nil for nothing.
func (h *viewHealth) look(st view.Status, events string, now time.Time) *bridge.Alarm {
	at := st.Streams[events]
	if h.fine.IsZero() || st.UpToDate || st.Rebuilding && at.Folded != h.folded {
		h.fine = now
	}
	h.folded = at.Folded
	if now.Sub(h.fine) < viewPatience {
		return nil
	}
	details := map[string]any{"folded": at.Folded, "behind": at.Behind, "since": h.fine.UTC()}
	const over, effect = "the view has every event again", "Webhooks are accepted and kept all the same, but lists and searches lack what came since, and overdue predictions are not polled by this process"
	if failure := cmp.Or(st.Error, at.Error); failure != "" {
		details["error"] = failure
		return &bridge.Alarm{
			Kind: bridge.AlarmViewFailed, Subject: events, Details: details, Over: over,
			Text: printable.Sentences(fmt.Sprintf("the view stands still since %s: %s", h.fine.UTC().Format(time.RFC3339), failure),
				effect+": free its disk or repair its folder; hookspan view rebuild makes it anew"),
		}
	}
	return &bridge.Alarm{
		Kind: bridge.AlarmViewBehind, Subject: events, Details: details, Over: over,
		Text: printable.Sentences(fmt.Sprintf("the view is behind since %s, by %d events", h.fine.UTC().Format(time.RFC3339), at.Behind),
			effect+": it yields to accepting and catches up when there is less to accept; hookspan view status says how far it is"),
	}
}

// viewWatch looks from time to time at what waits, by the view: for metrics, so that no scrape
// asks the view, and for alarms.
type viewWatch struct {
	view  watchedView
	names bridge.Names
	// soon is how long before a provider deletes outputs that no archive has somebody should know
	// of it; 0: nobody archives.
	soon    time.Duration
	alarms  *lasting.Alarms
	waiting atomic.Pointer[view.Waiting] // nil: nobody has looked yet
	health  viewHealth
}

// watchedView is a [view.View].
type watchedView interface {
	Status() view.Status
	Waiting(ctx context.Context, now time.Time) (view.Waiting, error)
}

// run looks until ctx ends.
func (w *viewWatch) run(ctx context.Context) {
	for {
		w.look(ctx, time.Now())
		if !backoff.Sleep(ctx, viewLook) {
			return
		}
	}
}

// look leaves what cannot be read as it was: the health of the view is an alarm of its own.
func (w *viewWatch) look(ctx context.Context, now time.Time) {
	st := w.view.Status()
	var holding []bridge.Alarm
	if alarm := w.health.look(st, w.names.EventsStream(), now); alarm != nil {
		holding = append(holding, *alarm)
	}
	if waiting, err := w.view.Waiting(ctx, now); err == nil {
		w.waiting.Store(&waiting)
	}
	if waiting := w.waiting.Load(); waiting != nil {
		holding = append(holding, w.neglected(*waiting, st.Streams[w.names.QuarantineStream()].Messages, now)...)
	}
	w.alarms.Look(holding...)
}
