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
	raise := func(kind, subject string, ago time.Duration) {
		body, err := json.Marshal(bridge.Alarm{Kind: kind, Subject: subject, Text: kind, Time: now.Add(-ago)})
		require.NoError(t, err)
		row, err := readAlarm(body)
		require.NoError(t, err)
		b.msgs = append(b.msgs, message{seq: uint64(len(b.msgs) + 1), stored: now.Add(-ago), row: row})
	}
	raise("lasting", "a", 2*time.Hour)
	raise("over", "", time.Hour)
	for ago := 50 * time.Minute; ago > 0; ago -= 10 * time.Minute {
		raise("lasting", "a", ago)
	}
	raise("lasting", "b", time.Minute)
	require.NoError(t, v.write(func(c *conn) error { _, err := foldAlarms(c, nil, b); return err }))
	active, err := v.ActiveAlarms(t.Context(), now)
	require.NoError(t, err)
	require.Len(t, active, 2)
	require.Equal(t, "b", active[0].Subject)
	require.Equal(t, "a", active[1].Subject)
	require.Equal(t, now.Add(-50*time.Minute), active[1].Since)
	require.EqualValues(t, 7, active[1].Sequence)
	none, err := v.ActiveAlarms(t.Context(), now.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, none)
}
