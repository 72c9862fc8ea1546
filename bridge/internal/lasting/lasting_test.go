package lasting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

type heard []bridge.Alarm

func (h *heard) Raise(a bridge.Alarm) { *h = append(*h, a) }

// What lasts is one sentence an hour, and one when it is over; what comes and goes is as if it
// lasted.
func TestWhatLastsIsToldOnceAndCleared(t *testing.T) {
	t.Parallel()
	var said heard
	alarms, noon := New(&said), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	full := Condition{Alarm: bridge.Alarm{Kind: "full", Subject: "a", Text: "it is full"}, Over: "it has room"}
	other := Condition{Alarm: bridge.Alarm{Kind: "full", Subject: "b", Text: "b is full"}, Over: "b has room"}
	look := func(minute int, holding ...Condition) []bridge.Alarm {
		said = nil
		alarms.Look(noon.Add(time.Duration(minute)*time.Minute), holding)
		return said
	}
	texts := func(all []bridge.Alarm) (out []string) {
		for _, a := range all {
			require.Equal(t, a.Cleared, a.Text == "it has room" || a.Text == "b has room")
			require.Equal(t, a.Cleared, a.Until.IsZero())
			require.Equal(t, a.Cleared, a.ID == a.Subject+" is over")
			out = append(out, a.Text)
		}
		return out
	}
	require.Empty(t, look(0))
	first := look(1, full)
	require.Equal(t, []string{"it is full"}, texts(first))
	require.Equal(t, noon.Add(76*time.Minute), first[0].Until, "longer than until it is raised again")
	require.Equal(t, []string{"b is full"}, texts(look(2, full, other)))
	for minute := 3; minute < 61; minute++ {
		holding := []Condition{full, other}
		if minute%5 < 4 { // it comes and goes
			holding = holding[1:]
		}
		require.Empty(t, look(minute, holding...), minute)
	}
	require.Equal(t, []string{"it is full"}, texts(look(61, full, other)), "an hour later")
	require.Equal(t, []string{"b is full"}, texts(look(62, other)))
	require.Empty(t, look(71, other))
	require.Equal(t, []string{"it has room"}, texts(look(72, other)), "ten minutes without it")
	require.Empty(t, look(73, other))
	require.Equal(t, []string{"it is full"}, texts(look(74, full, other)), "a new one")
}
