package view

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// Whatever is read as an alarm can be stored, and read again.
func FuzzAlarm(f *testing.F) {
	f.Add([]byte(`{"kind":"clock","text":"x","time":"2026-01-31T12:00:00Z","details":{"a":[1]}}`))
	f.Add([]byte(`{"kind":"\u0000\ud800","time":"9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte(`null`))
	v := &View{cfg: Config{Path: filepath.Join(f.TempDir(), "view.db")}}
	v.streams = v.allStreams()
	require.NoError(f, v.open())
	f.Cleanup(func() { require.NoError(f, v.drop()) })
	f.Fuzz(func(t *testing.T, body []byte) {
		row, err := readAlarm(body)
		if err != nil {
			return
		}
		require.NoError(t, v.write(func(c *conn) error {
			_, err := foldAlarms(c, nil, block{msgs: []message{{seq: 1, row: row, stored: foldtest.Noon}}})
			return err
		}))
		page, _, err := v.Alarms(t.Context(), AlarmQuery{})
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, row.alarm, page[0].Alarm)
	})
}

// A cursor of a list leads back to where the list was, and no text leads elsewhere.
func FuzzCursor(f *testing.F) {
	f.Add("", int64(0))
	f.Add("-zz", int64(minCursor))
	f.Add("9223372036854775808", int64(maxCursor))
	f.Fuzz(func(t *testing.T, text string, num int64) {
		before, limit, err := pageOf(text, int(num))
		if err == nil {
			require.True(t, before >= minCursor && before <= maxCursor && limit > 0 && limit <= maxLimit)
		}
		if num >= minCursor && num <= maxCursor {
			before, _, err = pageOf(cursorOf(num), 1)
			require.NoError(t, err)
			require.Equal(t, num, before)
		}
	})
}

// The id of an event comes back, whatever it and that of its prediction are.
func FuzzShortID(f *testing.F) {
	f.Add("p", "p/completed/1")
	f.Add("p", "/completed/1")
	f.Add("", "/x")
	f.Fuzz(func(t *testing.T, prediction, id string) {
		require.Equal(t, id, longID(prediction, shortID(&bridge.Event{PredictionID: prediction, ID: id})))
	})
}
