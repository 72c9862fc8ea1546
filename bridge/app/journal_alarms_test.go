package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Alarms about journals of two processes on one NATS are alarms of their own, all others are one.
func TestAlarmsOfJournalsHaveAPlace(t *testing.T) {
	t.Parallel()
	told := &natstest.Alarms{}
	for place, subjects := range map[string][]string{"": {"", "position", "stream"}, "pod-1": {"pod-1", "pod-1 position", "stream"}} {
		p := placed{told, place}
		p.Raise(bridge.Alarm{Kind: bridge.AlarmJournalBehind})
		p.Raise(bridge.Alarm{Kind: bridge.AlarmJournalFailed, Subject: "position"})
		p.Raise(bridge.Alarm{Kind: bridge.AlarmStoreFull, Subject: "stream"})
		var got []string
		for _, a := range told.Take() {
			got = append(got, a.Subject)
		}
		require.Equal(t, subjects, got)
	}
}
