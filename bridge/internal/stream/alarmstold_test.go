package stream

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// inBubble runs a test with alarms that nobody stores; said returns those that were told since.
func inBubble(t *testing.T, test func(t *testing.T, a *Alarms, said func() []bridge.Alarm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := NewAlarms(bridge.Names{}, zap.NewNop())
		test(t, a, func() (out []bridge.Alarm) {
			synctest.Wait()
			for {
				var m *nats.Msg
				select {
				case m = <-a.waiting:
				default:
					return out
				}
				var alarm bridge.Alarm
				require.NoError(t, json.Unmarshal(m.Data, &alarm))
				alarm.ID = m.Header[bridge.HeaderMsgID][0]
				out = append(out, alarm)
			}
		})
	})
}

// pass lets the time of a bubble pass.
func pass(d time.Duration) { <-time.After(d) }

func textsOf(alarms []bridge.Alarm) (out []string) {
	for _, a := range alarms {
		out = append(out, a.Text)
	}
	return out
}

// What lasts is one sentence an hour, and one when it is over; what comes and goes is as if it
// lasted.
func TestWhatLastsIsToldOnceAndCleared(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, a *Alarms, said func() []bridge.Alarm) {
		full := func(subject string) {
			a.Raise(bridge.Alarm{Kind: bridge.AlarmJournalFull, Subject: subject, Text: subject + " is full", Over: subject + " has room"})
		}
		room := func(subject string) {
			a.Raise(bridge.Alarm{Kind: bridge.AlarmJournalFull, Subject: subject, Text: "not told", Cleared: true})
		}
		full("a")
		first := said()
		require.Equal(t, []string{"a is full"}, textsOf(first))
		require.Equal(t, "alarm:journal_full:a%20lasts", first[0].ID, "that of several processes is one")
		require.WithinDuration(t, time.Now().Add(75*time.Minute), first[0].Until, 0, "longer than until it is told again")
		pass(time.Minute)
		full("b")
		require.Equal(t, []string{"b is full"}, textsOf(said()))
		for minute := range 58 {
			pass(time.Minute)
			full("b")
			if minute%5 == 4 { // it comes and goes
				full("a")
				room("a")
			}
			require.Empty(t, said(), minute)
		}
		pass(time.Minute)
		full("a")
		require.Equal(t, []string{"a is full"}, textsOf(said()), "an hour later")
		full("b")
		room("a")
		pass(time.Minute)
		full("b")
		require.Equal(t, []string{"b is full"}, textsOf(said()))
		room("a") // it is over since a minute
		pass(9*time.Minute - time.Second)
		require.Empty(t, said())
		pass(time.Second)
		over := said()
		require.Equal(t, []string{"a has room"}, textsOf(over), "ten minutes without it")
		require.True(t, over[0].Cleared)
		require.Zero(t, over[0].Until)
		require.Equal(t, "alarm:journal_full:a%20is%20over", over[0].ID)
		full("a")
		require.Equal(t, []string{"a is full"}, textsOf(said()), "a new one")
		pass(3 * time.Hour)
		require.Empty(t, said(), "nobody knows whether they are over")
	})
}

// What happens again and again is over when it has not come for as long as it says.
func TestWhatHappensAgainAndAgainEndsByItself(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, a *Alarms, said func() []bridge.Alarm) {
		refused := func() {
			a.Raise(bridge.Alarm{Kind: bridge.AlarmRefused, Text: "refused", Over: "no more", Until: time.Now().Add(15 * time.Minute)})
		}
		refused()
		require.Equal(t, []string{"refused"}, textsOf(said()))
		for range 4 {
			pass(14 * time.Minute)
			refused()
			require.Empty(t, said())
		}
		pass(15*time.Minute - 1)
		require.Empty(t, said())
		pass(1)
		over := said()
		require.Equal(t, []string{"no more"}, textsOf(over))
		require.True(t, over[0].Cleared)
	})
}

// A single fact of the kind and subject of what lasts hides nothing of it, nor the other way round.
func TestFactsBesideWhatLasts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, a *Alarms, said func() []bridge.Alarm) {
		a.Raise(bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Text: "made anew"})
		a.Raise(bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Text: "not there", Over: "there"})
		require.Equal(t, []string{"made anew", "not there"}, textsOf(said()))
		pass(20 * time.Minute)
		a.Raise(bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Text: "made anew again"})
		a.Raise(bridge.Alarm{Kind: bridge.AlarmStreamRemoved, Cleared: true})
		require.Equal(t, []string{"made anew again"}, textsOf(said()))
		pass(10 * time.Minute)
		require.Equal(t, []string{"there"}, textsOf(said()))
		a.Raise(bridge.Alarm{Kind: bridge.AlarmDeadLetters, Text: "none any more", Cleared: true})
		require.Equal(t, []string{"none any more"}, textsOf(said()), "what does not last is cleared at once")
	})
}

// The metric has what is active: what lasts until its end is told, what has happened for 15
// minutes or until it is cleared.
func TestActiveAlarmsAreAMetric(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, a *Alarms, _ func() []bridge.Alarm) {
		active := func(kind string) float64 {
			reg := prometheus.NewPedanticRegistry()
			reg.MustRegister(a.Collectors()...)
			families, err := reg.Gather()
			require.NoError(t, err)
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == "hookspan_alarms_active" && m.GetLabel()[0].GetValue() == kind {
						return m.GetGauge().GetValue()
					}
				}
			}
			require.Fail(t, "no such series", kind)
			return 0
		}
		for _, kind := range bridge.AlarmKinds {
			require.Zero(t, active(kind), kind)
		}
		full := bridge.Alarm{Kind: bridge.AlarmJournalFull, Subject: "a", Text: "full", Over: "room"}
		a.Raise(full)
		a.Raise(full)
		full.Subject = "b"
		a.Raise(full)
		require.InDelta(t, 2, active(bridge.AlarmJournalFull), 0)
		a.Raise(bridge.Alarm{Kind: bridge.AlarmClock, Text: "jumped"})
		a.Raise(bridge.Alarm{Kind: bridge.AlarmExpired, Text: "gone"})
		a.Raise(bridge.Alarm{Kind: bridge.AlarmExpired, Text: "back", Cleared: true})
		a.Raise(bridge.Alarm{Kind: "unheard_of", Text: "?"})
		require.Zero(t, active(bridge.AlarmExpired), "it was cleared")
		require.InDelta(t, 1, active("other"), 0)
		pass(14 * time.Minute)
		require.InDelta(t, 1, active(bridge.AlarmClock), 0)
		pass(time.Minute)
		require.Zero(t, active(bridge.AlarmClock))
		require.InDelta(t, 2, active(bridge.AlarmJournalFull), 0, "it lasts")
		full.Cleared = true
		a.Raise(full)
		require.InDelta(t, 2, active(bridge.AlarmJournalFull), 0, "it may come back")
		pass(11 * time.Minute)
		require.InDelta(t, 1, active(bridge.AlarmJournalFull), 0)
		pass(time.Hour)
		require.Zero(t, active(bridge.AlarmJournalFull), "nobody has raised it for so long")
	})
}
