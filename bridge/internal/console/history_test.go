package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestHowAConsumerDid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(ago time.Duration, pending uint64) adminapi.Backlog {
		return adminapi.Backlog{At: now.Add(-ago), Pending: pending}
	}
	h := history{adminapi.ConsumerHistory{Backlog: []adminapi.Backlog{at(12*time.Hour, 1200), at(12*time.Hour-5*time.Minute, 600), at(6*time.Hour, 0)}}}
	require.Contains(t, string(h.Chart(now)), `d="M119.5 2.0L120.0 2.0L120.8 20.0M179.5 38.0L180.0 38.0"`, "the line is broken where nobody looked")
	require.Contains(t, string(h.Chart(now)), "1,200 at most, 0 at the end")
	require.Empty(t, history{}.Chart(now))

	c, _ := newFake(t, map[string]any{
		"GET /consumers/billing": adminapi.ConsumerState{Name: "billing"}, "GET /config": adminapi.Config{}, "GET /dead/groups": adminapi.DeadGroupList{}, "GET /alarms": adminapi.AlarmList{},
		"GET /consumers/billing/history": adminapi.ConsumerHistory{
			Backlog:  h.Backlog,
			Attempts: adminapi.AttemptCounts{Count: 1003, Verdicts: map[string]int{"done": 1000, "retry": 2, "<b>": 1}, P50: 0.04, P95: 1.25, Since: now.Add(-time.Hour)},
		},
	})
	_, page := see(t, c, "/consumers/billing")
	require.Contains(t, page, "40 ms")
	require.Contains(t, page, "95 of 100 1.2 s")
	require.Contains(t, page, "1,000 handled, 2 failed, and are tried again, 1 &lt;b&gt;, since")
	require.Contains(t, page, `class="spark"`)
}
