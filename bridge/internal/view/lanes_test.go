package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	event := TimelineEvent{EventRef: bridge.EventRef{Sequence: 10, ID: "p/completed/1", Kind: bridge.KindPrediction, StoredAt: foldtest.Noon}, Subject: "hookspan.events.get3w.prediction.completed.get3w.flux"}
	try := func(verdict, err string) LastAttempt {
		return LastAttempt{Consumer: "c", Next: foldtest.Noon.Add(time.Hour), Try: Try{At: foldtest.Noon, Took: time.Second, Number: 2, Verdict: verdict, Error: err}}
	}
	letter := func(at time.Time) []DeadLetter {
		return []DeadLetter{{Sequence: 7, Consumer: "c", Event: event.ID, Cause: bridge.DeadExhausted, Error: "gave up", Stored: at}}
	}
	busy := ConsumerInfo{Name: "c", Subjects: []string{"hookspan.events.*.prediction.completed.>", "hookspan.again.c.>"}, Delivered: 20, Acknowledged: 5}
	with := func(change func(*ConsumerInfo)) ConsumerInfo { c := busy; change(&c); return c }
	pausedUntil := foldtest.Noon.Add(24 * time.Hour)
	for name, c := range map[string]struct {
		attempt  *LastAttempt
		dead     []DeadLetter
		consumer ConsumerInfo
		want     LaneState
		reason   string
	}{
		"handled":                         {attempt: new(try(bridge.VerdictDone, "")), consumer: busy, want: LaneHandled},
		"handled by an orphaned consumer": {attempt: new(try(bridge.VerdictDone, "")), consumer: with(func(c *ConsumerInfo) { c.Orphaned = true }), want: LaneHandled},
		"failing":                         {attempt: new(try(bridge.VerdictRetry, "boom")), consumer: busy, want: LaneFailing, reason: "boom"},
		"given back":                      {attempt: new(try(bridge.VerdictGiveBack, "")), consumer: busy, want: LaneWaiting},
		"snoozed":                         {attempt: new(try(bridge.VerdictSnoozed, "")), consumer: busy, want: LaneWaiting},
		"a word of a later version":       {attempt: new(try("pondered", "")), consumer: busy, want: LaneWaiting},
		"breaker open, failed before":     {attempt: new(try(bridge.VerdictRetry, "boom")), consumer: with(func(c *ConsumerInfo) { c.Blocked = "target is away" }), want: LaneBlocked, reason: "target is away"},
		"breaker open, not tried":         {consumer: with(func(c *ConsumerInfo) { c.Blocked, c.Delivered = "target is away", 5 }), want: LaneBlocked, reason: "target is away"},
		"paused":                          {consumer: with(func(c *ConsumerInfo) { c.PausedUntil, c.Delivered = pausedUntil, 5 }), want: LanePaused},
		"paused while it comes again":     {attempt: new(try(bridge.VerdictRetry, "boom")), consumer: with(func(c *ConsumerInfo) { c.PausedUntil = pausedUntil }), want: LanePaused, reason: "boom"},
		"dead letter":                     {attempt: new(try(bridge.VerdictDead, "boom")), dead: letter(foldtest.Noon), consumer: busy, want: LaneDead, reason: "gave up"},
		"dead letter without an attempt":  {dead: letter(foldtest.Noon), consumer: busy, want: LaneDead, reason: "gave up"},
		"redriven and handled":            {attempt: new(try(bridge.VerdictDone, "")), dead: letter(foldtest.Noon.Add(-time.Hour)), consumer: busy, want: LaneHandled},
		"dead letter of another event":    {dead: []DeadLetter{{Consumer: "c", Event: "p/failed/2"}}, consumer: busy, want: LaneRunning},
		"dead letter that is not there":   {attempt: new(try(bridge.VerdictDead, "boom")), consumer: busy, want: LaneForgotten, reason: "boom"},
		"nobody asks":                     {consumer: with(func(c *ConsumerInfo) { c.Unread, c.Delivered = true, 5 }), want: LaneUnread},
		"before its time":                 {consumer: with(func(c *ConsumerInfo) { c.Since = foldtest.Noon.Add(1) }), want: LaneBefore},
		"orphaned":                        {consumer: with(func(c *ConsumerInfo) { c.Orphaned, c.Delivered = true, 5 }), want: LaneOrphaned},
		"orphaned while it comes again":   {attempt: new(try(bridge.VerdictRetry, "boom")), consumer: with(func(c *ConsumerInfo) { c.Orphaned = true }), want: LaneOrphaned, reason: "boom"},
		"orphaned, but past the event":    {consumer: with(func(c *ConsumerInfo) { c.Orphaned, c.Acknowledged = true, 10 }), want: LaneSettled},
		"behind the position":             {consumer: with(func(c *ConsumerInfo) { c.Delivered = 9 }), want: LaneBehind},
		"being handled":                   {consumer: busy, want: LaneRunning},
		"being handled while paused":      {consumer: with(func(c *ConsumerInfo) { c.PausedUntil = pausedUntil }), want: LaneRunning},
		"handled, details unknown":        {consumer: with(func(c *ConsumerInfo) { c.Acknowledged = 10 }), want: LaneSettled},
		"the last attempt was not heard":  {attempt: new(try(bridge.VerdictRetry, "boom")), consumer: with(func(c *ConsumerInfo) { c.Idle = true }), want: LaneSettled, reason: "boom"},
		"not for this filter":             {consumer: with(func(c *ConsumerInfo) { c.Subjects = []string{"hookspan.events.*.prediction.failed.>"} }), want: LaneNotMeant},
		"skipped by its filter":           {attempt: new(try(bridge.VerdictSkipped, "")), consumer: busy, want: LaneNotMeant},
		"before its start":                {consumer: with(func(c *ConsumerInfo) { c.First, c.Acknowledged = 11, 10 }), want: LaneBefore},
		"without a durable":               {consumer: ConsumerInfo{Name: "c", Missing: true}, want: LaneMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event
			if c.attempt != nil {
				e.Attempts = []LastAttempt{*c.attempt}
			}
			lanes := Lanes(e, c.dead, []ConsumerInfo{c.consumer})
			require.Len(t, lanes, 1)
			l := lanes[0]
			require.Equal(t, c.want, l.State)
			require.Equal(t, c.reason, l.Reason)
			require.NotEmpty(t, l.State.Words())
			why, remedy := l.Explain(&e)
			require.Equal(t, c.want != LaneHandled, why != "" || remedy != "", "%s: %s", why, remedy)
			require.Equal(t, c.want != LaneHandled, remedy != "")
			for _, s := range []string{why, remedy} {
				require.NotContains(t, s, "%!")
			}
			require.Equal(t, l.State == LaneDead, l.Dead == 7)
			require.Equal(t, l.State == LanePaused, l.Until.Equal(pausedUntil))
		})
	}
	e := event
	e.Attempts = []LastAttempt{{Consumer: "b", Try: Try{Verdict: bridge.VerdictRetry}}}
	lanes := Lanes(e, letter(foldtest.Noon), []ConsumerInfo{{Name: "z"}, {Name: "a"}})
	names := []string{}
	for _, l := range lanes {
		names = append(names, l.Consumer)
	}
	require.Equal(t, []string{"a", "b", "c", "z"}, names, "also consumers that nobody knows any more")
	require.Equal(t, LaneOrphaned, lanes[1].State)
}
