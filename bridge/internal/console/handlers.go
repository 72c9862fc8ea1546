package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// handler is what became of one event with one consumer.
type handler struct {
	adminapi.Lane

	Event adminapi.TimelineEvent
}

// maxHandlers bounds the rows of the table of handlers.
const maxHandlers = 100

// handlersOf returns what became of events, the newest first, with the consumers that read them:
// of each consumer the newest, the end of the prediction, and all that need somebody. A consumer
// that reads none has one row.
func handlersOf(events []adminapi.TimelineEvent) (out []handler) {
	meant, other := map[string]bool{}, map[string]handler{}
	for _, e := range events {
		end := e.Kind == bridge.KindPrediction && bridge.Terminal(e.Status)
		for _, l := range e.Lanes {
			h := handler{l, e}
			switch _, known := other[l.Consumer]; {
			case h.Meant():
				if !meant[l.Consumer] || end || h.Waits() {
					out = append(out, h)
				}
				meant[l.Consumer] = true
			case !known || end:
				other[l.Consumer] = h
			}
		}
	}
	for name, h := range other {
		if !meant[name] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b handler) int {
		return cmp.Or(strings.Compare(a.Consumer, b.Consumer), cmp.Compare(b.Event.Sequence, a.Event.Sequence))
	})
	if len(out) > maxHandlers { // those that need somebody stay
		slices.SortStableFunc(out, func(a, b handler) int { return cmp.Compare(rank(a), rank(b)) })
		out = out[:maxHandlers]
	}
	return out
}

func rank(h handler) int {
	if h.Waits() {
		return 0
	}
	return 1
}

// Meant reports whether the consumer reads the event.
func (h handler) Meant() bool { return h.State != "not_meant" && h.State != "before_start" }

// Waits reports whether the event does not reach the handler by itself, or fails.
func (h handler) Waits() bool {
	switch h.State {
	case "failing", "paused", "blocked", "unread", "orphaned", "missing", "dead_letter", "dead_not_kept":
		return true
	}
	return false
}

// Again reports whether giving the event again is a way out: also for a consumer that would not
// read it by its start or, if it is the end of a prediction, by its filter. What waits already is not
// given a second time.
func (h handler) Again() bool {
	switch h.State {
	case "not_meant":
		return h.Event.Kind == bridge.KindPrediction && bridge.Terminal(h.Event.Status)
	case "dead_letter", "dead_not_kept", "handled", "settled", "before_start", "failing":
		return true
	}
	return false
}

// Attempts is how many are known, 0 for none. What was put off is none.
func (h handler) Attempts(dead []adminapi.DeadLetter) (n int) {
	for _, try := range h.Failed {
		if try.Verdict != bridge.VerdictSnoozed {
			n = max(n+1, try.Number)
		}
	}
	if last := h.Last; last != nil && last.Verdict != bridge.VerdictSnoozed {
		n = max(n, last.Number, 1)
	}
	for _, d := range dead {
		if h.DeadSeq != 0 && d.Seq == h.DeadSeq {
			n = d.Attempts
		}
	}
	return n
}

// Since is when the last attempt ended, or the event was stored.
func (h handler) Since() time.Time {
	if h.Last != nil {
		return h.Last.At
	}
	return h.Event.StoredAt
}

// Error says why the event is not handled: the first line of the reason and, of a consumer that
// is not tried at the moment, that of the last attempt that failed.
func (h handler) Error() string {
	why := firstLine(h.Reason)
	if h.Last == nil && h.DeadSeq == 0 { // it is the bridge that says so
		why = sentence(why)
	}
	if h.Last != nil && why == "" {
		why = firstLine(h.Last.Error)
	}
	if n := len(h.Failed); n > 0 && h.Waits() {
		if failed := firstLine(h.Failed[n-1].Error); !strings.Contains(why, failed) {
			why += "; the last attempt that failed: " + failed
		}
	}
	return why
}

// Due reports whether the time of the next attempt has come.
func (h handler) Due() bool { return !h.Next.IsZero() && h.Next.Before(time.Now()) }

// What is the event in a word or two.
func (h handler) What() string {
	return eventName(h.Event.Kind, h.Event.Status)
}

// eventName is an event in a word or two.
func eventName(kind, status string) string {
	switch kind {
	case bridge.KindPrediction:
		return status
	case bridge.KindWatch:
		return "announcement"
	case bridge.KindLost:
		return "given up"
	}
	return strings.ReplaceAll(kind, ".", " ")
}
