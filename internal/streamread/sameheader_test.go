package streamread_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// A dead letter that another process makes again, with another cause and history, is the same
// one. One with other attributes of the event is not.
func TestSameHeader(t *testing.T) {
	event := (&bridge.Event{
		ID: "pred_1/completed/0123456789abcdef", Source: "get3w", Type: "com.get3w.prediction.completed.v1", PredictionID: "pred_1",
		Status: bridge.StatusCompleted, Query: map[string]string{"tenant": "a"}, ReceivedAt: time.Unix(1, 0),
	}).Header()
	deadLetter := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Fault: bridge.FaultFailed, Error: "no", Attempts: 3, Redrives: 1, History: []bridge.FailedAttempt{{Error: "no"}}}
	is := deadLetter.Header(event)
	deadLetter.Cause, deadLetter.Error, deadLetter.History, deadLetter.Attempts, deadLetter.Sequence = bridge.DeadTerminated, "its program ended it", nil, 0, 7
	again := deadLetter.Header(event)
	again[bridge.HeaderMsgID], again["Nats-Schedule-Next"] = []string{"x"}, []string{"purge"}
	require.True(t, streamread.SameHeader(is, again))

	for name, change := range map[string]func(bridge.Header){
		"another consumer": func(h bridge.Header) { h.Set("hookspan-dead-consumer", "other") },
		"another redrive":  func(h bridge.Header) { h.Set("hookspan-dead-redrives", "2") },
		"expired":          func(h bridge.Header) { h.Set("hookspan-dead-cause", string(bridge.DeadExpired)) },
		"no letter":        func(h bridge.Header) { delete(h, "hookspan-dead-cause") },
		"unreadable":       func(h bridge.Header) { h["hookspan-dead-history"] = []string{"{"} },
		"another event":    func(h bridge.Header) { h.Set("ce-id", "pred_2/completed/0123456789abcdef") },
		"a value more":     func(h bridge.Header) { h["ce-id"] = append([]string{}, h["ce-id"][0], "b") },
		"another query":    func(h bridge.Header) { h.Set("hookspan-query-tenant", "b") },
		"a query more":     func(h bridge.Header) { h.Set("hookspan-query-user", "b") },
		"an attempt":       func(h bridge.Header) { h.Set("hookspan-attempt", "9") },
	} {
		other := maps.Clone(again)
		change(other)
		require.False(t, streamread.SameHeader(is, other), name)
		require.False(t, streamread.SameHeader(other, is), name)
	}
}

// A program that may announce predictions, or let events of made-up ids wait, can make no
// message id of an event of a provider, an archive or the poller, nor of another
// consumer's copy: every message id can be parsed unambiguously.
func TestMessageIDsNeverMeet(t *testing.T) {
	parts := []string{
		"a", "watch", "completed", "a/watch", "a/watch/0123456789abcdef", "a/completed/0123456789abcdef", "x:1", "x:redrive-1-1",
		"team:a", "team:a/completed/0123456789abcdef", "team:a/completed/0123456789abcdef:1", "again:team:a", ":", "/", "a:7", "%2F", "a%3A1",
	}
	made := map[string]string{}
	add := func(id, of string) {
		t.Helper()
		require.Empty(t, made[id], "%s has the id of %s: %s", of, made[id], id)
		made[id] = of
	}
	for _, source := range []string{"get3w", "again", "team", "watch"} {
		for _, p := range parts {
			w := bridge.Watch{Source: source, Prediction: p}
			announced, err := w.Event(time.Unix(1, 0))
			require.NoError(t, err)
			add(announced.MsgID(), "the announcement of "+p+" of "+source)
			for _, status := range []string{bridge.StatusCompleted, bridge.StatusFailed, "watch", "lost", "archived", bridge.EncodeToken("a/watch")} {
				e := bridge.Event{Source: source, ID: bridge.NewEventID(p, status, []byte(p+source))}
				add(e.MsgID(), "event "+status+" of "+p+" of "+source)
			}
		}
	}
	for _, consumer := range []string{"team", "other", "again"} {
		for _, id := range parts { // as a program wrote it
			for _, n := range []string{"1", "17", "redrive-1-1", "replay-x", "polled-1"} {
				add(bridge.AgainID(consumer, id, n), "copy "+n+" of "+id+" for "+consumer)
			}
		}
	}
}
