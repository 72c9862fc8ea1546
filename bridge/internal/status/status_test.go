package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/status"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	consumer := func(state consumerstate.State) []adminapi.ConsumerState {
		return []adminapi.ConsumerState{{Name: "billing", State: state, Pending: 3, Since: ago(time.Hour), Reason: "refused"}}
	}
	const ok, degraded, failing = adminapi.StatusOK, adminapi.StatusDegraded, adminapi.StatusFailing
	for name, c := range map[string]struct {
		facts status.Facts
		want  adminapi.StatusState
		kinds string
		says  string
	}{
		"nothing":                 {status.Facts{Journal: &adminapi.Journal{}, View: adminapi.ViewStatus{UpToDate: true}}, ok, "", ""},
		"nothing can be stored":   {status.Facts{Reasons: []string{"the disk is full"}}, failing, "not_ready", "the disk is full"},
		"the journal fails":       {status.Facts{Journal: &adminapi.Journal{Failure: "EIO"}}, failing, "journal_failed", "EIO"},
		"NATS is away":            {status.Facts{Journal: &adminapi.Journal{Records: 7, Oldest: ago(time.Hour)}}, failing, "journal_behind", "7 accepted records"},
		"the journal works":       {status.Facts{Journal: &adminapi.Journal{Records: 7, Oldest: ago(time.Second)}}, ok, "", ""},
		"set aside":               {status.Facts{Journal: &adminapi.Journal{SetAside: 2}}, degraded, "set_aside", "2 messages"},
		"overdue, polled":         {status.Facts{Sources: map[string]adminapi.SourceStatus{"get3w": {Overdue: 2, Polled: true, Oldest: ago(time.Hour)}}}, degraded, "missing", "2 predictions of source get3w"},
		"overdue, not polled":     {status.Facts{Sources: map[string]adminapi.SourceStatus{"a": {Open: 1}, "get3w": {Overdue: 2}}}, failing, "missing", "nobody polls"},
		"failing":                 {status.Facts{Consumers: consumer(consumerstate.Failing)}, failing, "consumer_failing", "3 events wait: refused"},
		"blocked":                 {status.Facts{Consumers: consumer(consumerstate.Blocked)}, failing, "consumer_failing", "billing is blocked"},
		"missing":                 {status.Facts{Consumers: consumer(consumerstate.Missing)}, failing, "consumer_missing", "no durable"},
		"unread":                  {status.Facts{Consumers: consumer(consumerstate.Unread)}, failing, "consumer_unread", "nobody asks"},
		"orphaned":                {status.Facts{Consumers: consumer(consumerstate.Orphaned)}, degraded, "consumer_orphaned", "does not name"},
		"orphaned, nothing waits": {status.Facts{Consumers: []adminapi.ConsumerState{{State: consumerstate.Orphaned}}}, ok, "", ""},
		"behind, paused":          {status.Facts{Consumers: append(consumer(consumerstate.Behind), consumer(consumerstate.Paused)...)}, ok, "", ""},
		"outputs go":              {status.Facts{Archives: true, NextDeleted: now.Add(time.Hour)}, degraded, "archive_expires", "2026-01-31T13:00:00Z"},
		"outputs go, no archive":  {status.Facts{NextDeleted: now.Add(time.Hour)}, ok, "", ""},
		"outputs stay for long":   {status.Facts{Archives: true, NextDeleted: now.Add(48 * time.Hour)}, ok, "", ""},
		"dead and quarantined":    {status.Facts{Dead: 4, Quarantined: 1}, degraded, "dead_letters quarantine", "4 dead letters"},
		"the view fails":          {status.Facts{View: adminapi.ViewStatus{Error: "full", Since: now}}, degraded, "view_failed", "full"},
		"the view is made anew":   {status.Facts{View: adminapi.ViewStatus{Rebuilding: true}}, degraded, "view_behind", "made anew"},
		"the view is behind":      {status.Facts{Folded: adminapi.ViewStream{Behind: 9, FoldedAt: ago(time.Hour)}}, degraded, "view_behind", "9 events"},
		"an alarm":                {status.Facts{Alarms: []adminapi.Alarm{{Alarm: bridge.Alarm{Kind: "clock", Text: "it jumped\x1b[31m\u202e"}}}}, degraded, "clock", `it jumped\u001b[31m\u202e`},
		"an alarm that is told":   {status.Facts{Alarms: []adminapi.Alarm{{Alarm: bridge.Alarm{Kind: bridge.AlarmDeadLetters}}}}, ok, "", ""},
		"a journal elsewhere":     {status.Facts{Alarms: []adminapi.Alarm{behind("pod-1")}}, degraded, "journal_behind", "behind"},
		"another journal":         {status.Facts{Journal: &adminapi.Journal{}, JournalPlace: "pod-2", Alarms: []adminapi.Alarm{behind("pod-1")}}, degraded, "journal_behind", "behind"},
		"the own journal":         {status.Facts{Journal: &adminapi.Journal{}, JournalPlace: "pod-1", Alarms: []adminapi.Alarm{behind("pod-1")}}, ok, "", ""},
		"NATS does not answer":    {status.Facts{Unknown: []string{"consumers", "alarms"}}, degraded, "unknown", "nothing is known of consumers, alarms"},
		"the worst first":         {status.Facts{Dead: 1, Consumers: consumer(consumerstate.Failing), Reasons: []string{"x"}}, failing, "not_ready consumer_failing dead_letters", ""},
	} {
		c.facts.Now = now
		state, problems := status.Judge(c.facts)
		require.Equal(t, c.want, state, name)
		require.NotNil(t, problems, name)
		var kinds, what []string
		for _, p := range problems {
			kinds, what = append(kinds, p.Kind), append(what, p.What)
			require.NotEmpty(t, p.What, name)
			require.True(t, p.Remedy != "" || p.Kind == "clock", name)
		}
		require.Equal(t, c.kinds, strings.Join(kinds, " "), name)
		require.Contains(t, strings.Join(what, "\n"), c.says, name)
	}
	_, problems := status.Judge(status.Facts{
		Now: now, Dead: 1, Consumers: consumer(consumerstate.Failing), Sources: map[string]adminapi.SourceStatus{"get3w": {Overdue: 2}},
		Alarms: []adminapi.Alarm{{Alarm: bridge.Alarm{Kind: "clock", Subject: "host", Text: "it jumped"}}},
	})
	subjects := map[string]string{}
	for _, p := range problems {
		subjects[p.Kind] = p.Subject
	}
	require.Equal(t, map[string]string{"missing": "get3w", "consumer_failing": "billing", "dead_letters": "", "clock": "host"}, subjects)
	many := status.Facts{Now: now, Alarms: make([]adminapi.Alarm, 1000)}
	for i := range many.Alarms {
		many.Alarms[i].Kind, many.Alarms[i].Text = "clock", strings.Repeat("é", 1<<20)
	}
	_, problems = status.Judge(many)
	require.Len(t, problems, 100)
	require.LessOrEqual(t, len(problems[0].What), 1<<10)
}

func TestCount(t *testing.T) {
	t.Parallel()
	var all []adminapi.ConsumerState
	for _, state := range []consumerstate.State{
		consumerstate.Missing, consumerstate.Orphaned, consumerstate.Paused, consumerstate.Blocked, consumerstate.Failing, consumerstate.Unread, consumerstate.Behind, consumerstate.Waiting, consumerstate.Current,
	} {
		all = append(all, adminapi.ConsumerState{State: state})
	}
	require.Equal(t, adminapi.StatusConsumers{Count: 9, Behind: 2, Failing: 4, Paused: 1}, status.Count(all))
}

// behind is the alarm of a journal in that place.
func behind(place string) adminapi.Alarm {
	return adminapi.Alarm{Alarm: bridge.Alarm{Kind: bridge.AlarmJournalBehind, Subject: place, Text: "behind"}}
}
