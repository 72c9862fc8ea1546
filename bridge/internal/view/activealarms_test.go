package view

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestActiveAlarms(t *testing.T) {
	t.Parallel()
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	now := foldtest.Noon
	var b block
	add := func(a bridge.Alarm, ago time.Duration) {
		a.Time = now.Add(-ago)
		body, err := json.Marshal(a)
		require.NoError(t, err)
		row, err := readAlarm(body)
		require.NoError(t, err)
		b.msgs = append(b.msgs, message{seq: uint64(len(b.msgs) + 1), stored: now.Add(-ago), row: row})
	}
	raise := func(kind, subject string, ago time.Duration) {
		add(bridge.Alarm{Kind: kind, Subject: subject, Text: kind}, ago)
	}
	hourly := func(subject string, ago time.Duration) {
		add(bridge.Alarm{Kind: "hourly", Subject: subject, Until: now.Add(-ago + 75*time.Minute)}, ago)
	}
	hourly("lasts", 130*time.Minute)
	add(bridge.Alarm{Kind: "hourly", Subject: "for ever", Until: now.AddDate(1, 0, 0)}, 125*time.Minute)
	raise("lasting", "a", 2*time.Hour)
	hourly("lasts", 70*time.Minute)
	hourly("cleared", 40*time.Minute)
	add(bridge.Alarm{Kind: "hourly", Subject: "cleared", Cleared: true}, 30*time.Minute)
	raise("over", "", time.Hour)
	for ago := 50 * time.Minute; ago > 0; ago -= 10 * time.Minute {
		raise("lasting", "a", ago)
	}
	raise("lasting", "b", time.Minute)
	require.NoError(t, v.write(func(c *conn) error { _, err := foldAlarms(c, nil, b); return err }))
	active, err := v.ActiveAlarms(t.Context(), now)
	require.NoError(t, err)
	require.Len(t, active, 3)
	require.Equal(t, "lasts", active[2].Subject)
	require.Equal(t, now.Add(-130*time.Minute), active[2].Since)
	require.Equal(t, "b", active[0].Subject)
	require.Equal(t, "a", active[1].Subject)
	require.Equal(t, now.Add(-50*time.Minute), active[1].Since)
	require.EqualValues(t, 12, active[1].Sequence)
	none, err := v.ActiveAlarms(t.Context(), now.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, none)
}
