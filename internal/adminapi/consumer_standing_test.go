package adminapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

func TestStandingOfAConsumer(t *testing.T) {
	early := time.Date(2026, 1, 31, 15, 0, 0, 0, time.UTC)
	late := early.Add(time.Minute)
	failing := consumerstate.Report{State: consumerstate.Failing, Since: late, Reason: "refused", Failures: 3}
	blocked := consumerstate.Report{State: consumerstate.Blocked, Since: late, Reason: "the target is away"}
	well := consumerstate.Report{State: consumerstate.Well}
	type state = adminapi.ConsumerState
	for _, c := range []struct {
		name    string
		state   state
		reports []consumerstate.Report
		want    consumerstate.State
	}{
		{"nothing", state{}, nil, consumerstate.Current},
		{"one is being handled", state{Unsettled: 1}, nil, consumerstate.Current},
		{"a retry waits with the durable", state{Unsettled: 1, Redelivered: 1}, nil, consumerstate.Waiting},
		{"exhausted ones alone do not wait", state{Redelivered: 1}, nil, consumerstate.Current},
		{"a retry waits elsewhere", state{Later: 1}, nil, consumerstate.Waiting},
		{"behind", state{Pending: 1, Later: 1}, nil, consumerstate.Behind},
		{"nobody reads", state{Pending: 1, Unread: true}, nil, consumerstate.Unread},
		{"failing, nobody asks since every worker waits", state{Pending: 1, Unread: true}, []consumerstate.Report{failing}, consumerstate.Failing},
		{"failing, with a retry", state{Later: 1}, []consumerstate.Report{failing}, consumerstate.Failing},
		{"what failed is dead", state{Dead: 7}, []consumerstate.Report{failing}, consumerstate.Current},
		{"blocked", state{Pending: 1, Unread: true}, []consumerstate.Report{failing, blocked}, consumerstate.Blocked},
		{"one process succeeds", state{Later: 1}, []consumerstate.Report{failing, blocked, well}, consumerstate.Waiting},
		{"a state that nobody knows", state{Later: 1}, []consumerstate.Report{{State: "confused"}}, consumerstate.Waiting},
		{"paused", state{Pending: 1, PausedUntil: late}, []consumerstate.Report{blocked}, consumerstate.Paused},
		{"orphaned", state{Pending: 1, PausedUntil: late, Orphaned: true, Unread: true}, nil, consumerstate.Orphaned},
		{"missing", state{Missing: true}, []consumerstate.Report{blocked}, consumerstate.Missing},
	} {
		s := c.state
		s.Judge(c.reports)
		require.Equal(t, c.want, s.State, c.name)
		require.NotEmpty(t, s.State.Words(), c.name)
		told := s.State == consumerstate.Failing || s.State == consumerstate.Blocked
		require.Equal(t, told, !s.Since.IsZero(), c.name)
		require.Equal(t, told, s.Reason != "", c.name)
	}

	s := state{Later: 1}
	s.Judge([]consumerstate.Report{failing, {State: consumerstate.Failing, Since: early, Reason: "earlier", Failures: 2}})
	require.Equal(t, early, s.Since)
	require.Equal(t, "earlier", s.Reason)
	require.Equal(t, 5, s.Failures, "of both processes")
	s.Judge(nil)
	require.Equal(t, state{Later: 1, State: consumerstate.Waiting}, s, "nothing stays of what was")
}

// An error can hold any answer of a target.
func TestReasonIsOneLineForATerminal(t *testing.T) {
	for raw, want := range map[string]string{
		"no \"such\" customer é":      `no "such" customer é`,
		"a\nb\r\u001b[2Jc":            `a\nb\r\u001b[2Jc`,
		"\u009b31m\u2028\u202e\u007f": `\u009b31m\u2028\u202e\u007f`,
		"\xff":                        "\uFFFD",
	} {
		s := adminapi.ConsumerState{Pending: 1}
		s.Judge([]consumerstate.Report{{State: consumerstate.Failing, Since: time.Now(), Reason: raw}})
		require.Equal(t, want, s.Reason)
	}
	s := adminapi.ConsumerState{Pending: 1}
	s.Judge([]consumerstate.Report{{State: consumerstate.Failing, Since: time.Now(), Reason: strings.Repeat("é", 1000)}})
	require.Len(t, s.Reason, consumerstate.MaxReason)
}

func TestDecodeReport(t *testing.T) {
	ttl := bridge.Header{"Nats-TTL": {"90s"}}
	r, ok := consumerstate.Decode(ttl, []byte(`{"state":"failing","failures":2}`))
	require.True(t, ok)
	require.Equal(t, consumerstate.Report{State: consumerstate.Failing, Failures: 2}, r)
	for name, h := range map[string]bridge.Header{"for ever": {}, "taken back": {"Nats-TTL": {"1s"}, "KV-Operation": {"DEL"}}} {
		_, ok = consumerstate.Decode(h, []byte(`{"state":"failing"}`))
		require.False(t, ok, name)
	}
	for _, value := range []string{"", "x", `{"state":"failing","reason":"` + strings.Repeat("x", 5000) + `"}`} {
		_, ok = consumerstate.Decode(ttl, []byte(value))
		require.False(t, ok)
	}
}
