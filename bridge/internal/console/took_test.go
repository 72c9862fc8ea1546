package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTookIsOnlyWhatTheTimesTell(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		created, completed, received time.Time
		inference                    float64
		words                        string
	}{
		"all":                         {at(0), at(3), at(3.25), 2.5, "queue 500 ms, inference 2.5 s, webhook 250 ms"},
		"no inference":                {at(0), at(3), at(4), 0, "at the provider 3.0 s, webhook 1.0 s"},
		"an impossible inference":     {at(0), at(3), at(4), 5, "at the provider 3.0 s, webhook 1.0 s"},
		"clocks that disagree":        {at(5), at(3), at(2), 0, ""},
		"only when the end came":      {time.Time{}, time.Time{}, at(2), 1, ""},
		"nothing of when it was made": {time.Time{}, at(3), at(4), 1, "webhook 1.0 s"},
	} {
		took := tookOf(c.created, c.completed, c.received, c.inference)
		require.Equal(t, c.words, took.Words(), name)
		require.Equal(t, c.words == "", took.Total() == 0, name)
	}
}
