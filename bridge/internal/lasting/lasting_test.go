package lasting

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

type heard []bridge.Alarm

func (h *heard) Raise(a bridge.Alarm) { *h = append(*h, a) }

// What holds is raised at each look, and what does not hold any more is cleared once.
func TestWhatDoesNotHoldAnyMoreIsCleared(t *testing.T) {
	t.Parallel()
	var said heard
	alarms := New(&said)
	a := bridge.Alarm{Kind: "full", Subject: "a", Text: "a is full", Over: "a has room"}
	b := bridge.Alarm{Kind: "full", Subject: "b", Text: "b is full", Over: "b has room"}
	look := func(holding ...bridge.Alarm) []bridge.Alarm {
		said = nil
		alarms.Look(holding...)
		return said
	}
	require.Empty(t, look())
	require.Equal(t, []bridge.Alarm{a}, look(a))
	require.Equal(t, []bridge.Alarm{a, b}, look(a, b))
	require.Equal(t, []bridge.Alarm{b, {Kind: "full", Subject: "a", Text: "a has room", Cleared: true}}, look(b))
	require.Equal(t, []bridge.Alarm{{Kind: "full", Subject: "b", Text: "b has room", Cleared: true}}, look())
	require.Empty(t, look())
}
