package adminapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestStandingOfAConsumer(t *testing.T) {
	early := time.Date(2026, 1, 31, 15, 0, 0, 0, time.UTC)
	late := early.Add(time.Minute)
	failing := bridge.ConsumerReport{State: bridge.StandingFailing, Since: late, Reason: "refused", Failures: 3}
	blocked := bridge.ConsumerReport{State: bridge.StandingBlocked, Since: late, Reason: "the target is away"}
	well := bridge.ConsumerReport{State: bridge.StandingWell}
	type state = adminapi.ConsumerState
	for _, c := range []struct {
		name    string
		state   state
		reports []bridge.ConsumerReport
		want    bridge.Standing
	}{
		{"nothing", state{}, nil, bridge.StandingCurrent},
		{"one is being handled", state{Unsettled: 1}, nil, bridge.StandingCurrent},
		{"a retry waits with the durable", state{Unsettled: 1, Redelivered: 1}, nil, bridge.StandingWaiting},
		{"exhausted ones alone do not wait", state{Redelivered: 1}, nil, bridge.StandingCurrent},
		{"a retry waits elsewhere", state{Later: 1}, nil, bridge.StandingWaiting},
		{"behind", state{Pending: 1, Later: 1}, nil, bridge.StandingBehind},
		{"nobody reads", state{Pending: 1, Unread: true}, nil, bridge.StandingUnread},
		{"failing, nobody asks since every worker waits", state{Pending: 1, Unread: true}, []bridge.ConsumerReport{failing}, bridge.StandingFailing},
		{"failing, with a retry", state{Later: 1}, []bridge.ConsumerReport{failing}, bridge.StandingFailing},
		{"what failed is dead", state{Dead: 7}, []bridge.ConsumerReport{failing}, bridge.StandingCurrent},
		{"blocked", state{Pending: 1, Unread: true}, []bridge.ConsumerReport{failing, blocked}, bridge.StandingBlocked},
		{"one process succeeds", state{Later: 1}, []bridge.ConsumerReport{failing, blocked, well}, bridge.StandingWaiting},
		{"a state that nobody knows", state{Later: 1}, []bridge.ConsumerReport{{State: "confused"}}, bridge.StandingWaiting},
		{"paused", state{Pending: 1, PausedUntil: late}, []bridge.ConsumerReport{blocked}, bridge.StandingPaused},
		{"orphaned", state{Pending: 1, PausedUntil: late, Orphaned: true, Unread: true}, nil, bridge.StandingOrphaned},
		{"missing", state{Missing: true}, []bridge.ConsumerReport{blocked}, bridge.StandingMissing},
	} {
		s := c.state
		s.Judge(c.reports)
		require.Equal(t, c.want, s.State, c.name)
		require.NotEmpty(t, s.State.Words(), c.name)
		told := s.State == bridge.StandingFailing || s.State == bridge.StandingBlocked
		require.Equal(t, told, !s.Since.IsZero(), c.name)
		require.Equal(t, told, s.Reason != "", c.name)
	}

	s := state{Later: 1}
	s.Judge([]bridge.ConsumerReport{failing, {State: bridge.StandingFailing, Since: early, Reason: "earlier", Failures: 2}})
	require.Equal(t, early, s.Since)
	require.Equal(t, "earlier", s.Reason)
	require.Equal(t, 5, s.Failures, "of both processes")
	s.Judge(nil)
	require.Equal(t, state{Later: 1, State: bridge.StandingWaiting}, s, "nothing stays of what was")
}

// An error can hold whatever a target answered.
func TestReasonIsOneLineForATerminal(t *testing.T) {
	for raw, want := range map[string]string{
		"no \"such\" customer é":      `no "such" customer é`,
		"a\nb\r\u001b[2Jc":            `a\nb\r\u001b[2Jc`,
		"\u009b31m\u2028\u202e\u007f": `\u009b31m\u2028\u202e\u007f`,
		"\xff":                        "\uFFFD",
	} {
		s := adminapi.ConsumerState{Pending: 1}
		s.Judge([]bridge.ConsumerReport{{State: bridge.StandingFailing, Since: time.Now(), Reason: raw}})
		require.Equal(t, want, s.Reason)
	}
	s := adminapi.ConsumerState{Pending: 1}
	s.Judge([]bridge.ConsumerReport{{State: bridge.StandingFailing, Since: time.Now(), Reason: strings.Repeat("é", 1000)}})
	require.Len(t, s.Reason, bridge.MaxReason)
}

func TestDecodeReport(t *testing.T) {
	ttl := bridge.Header{"Nats-TTL": {"90s"}}
	r, ok := bridge.DecodeReport(ttl, []byte(`{"state":"failing","failures":2}`))
	require.True(t, ok)
	require.Equal(t, bridge.ConsumerReport{State: bridge.StandingFailing, Failures: 2}, r)
	for name, h := range map[string]bridge.Header{"for ever": {}, "taken back": {"Nats-TTL": {"1s"}, "KV-Operation": {"DEL"}}} {
		_, ok = bridge.DecodeReport(h, []byte(`{"state":"failing"}`))
		require.False(t, ok, name)
	}
	for _, value := range []string{"", "x", `{"state":"failing","reason":"` + strings.Repeat("x", 5000) + `"}`} {
		_, ok = bridge.DecodeReport(ttl, []byte(value))
		require.False(t, ok)
	}
}
