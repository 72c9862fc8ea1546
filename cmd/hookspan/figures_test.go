package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// asked is an answer of the API.
func asked[T any](p *program, path string) (out T) {
	p.t.Helper()
	status, text := p.admin("/api/v1" + path)
	require.Equal(p.t, 200, status, text)
	require.NoError(p.t, json.Unmarshal([]byte(text), &out))
	return out
}

// What the figures say adds up with what came.
func TestFiguresOfABridge(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}",
		`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "exit 65"], start: all, filter: {status: failed}}`, 1))
	require.Eventually(t, func() bool {
		st := asked[adminapi.Status](p, "/status")
		return st.State == adminapi.StatusOK && len(st.Unknown) == 0
	}, patience, 50*time.Millisecond, p.logs)

	ended := time.Now().UTC().Add(-time.Second)
	for i := range 4 {
		status, _ := p.post(fmt.Sprintf(`{"id":"ok%d","model":"a/b","status":"completed","outputs":["https://cdn.get3w.com/a.png"],"created_at":%q,"completed_at":%q,"timings":{"inference":2000}}`,
			i, ended.Add(-5*time.Second).Format(time.RFC3339Nano), ended.Format(time.RFC3339Nano)))
		require.Equal(t, 200, status)
	}
	for i := range 2 {
		status, _ := p.post(fmt.Sprintf(`{"id":"bad%d","model":"a/b","status":"failed","error":"no GPU %d \u001b[31m<b>"}`, i, i))
		require.Equal(t, 200, status)
	}
	p.post(`{"status":"failed"}`)
	require.Eventually(t, func() bool {
		st := asked[adminapi.Status](p, "/status")
		return st.Predictions.ByWebhook == 6 && st.Dead == 2 && st.Quarantined == 1
	}, patience, 50*time.Millisecond, p.logs)

	st := asked[adminapi.Status](p, "/status")
	require.Equal(t, adminapi.StatusDegraded, st.State, st.Problems)
	require.EqualValues(t, 6, st.Predictions.Expected)
	accepted := int64(0)
	for _, n := range st.AcceptedPerMinute {
		accepted += n
	}
	require.Len(t, st.AcceptedPerMinute, 60)
	require.EqualValues(t, 6, accepted)
	require.Equal(t, 4, st.Outputs.Unarchived)
	require.WithinDuration(t, ended.Add(7*24*time.Hour), st.Outputs.NextDeletedAt, time.Second)
	require.Equal(t, 1, st.Consumers.Count)
	require.NotNil(t, st.Journal)

	groups := asked[adminapi.DeadGroupList](p, "/dead/groups")
	require.Len(t, groups.Groups, 1)
	require.EqualValues(t, 2, groups.Groups[0].Count)
	require.Len(t, groups.Groups[0].Histogram.Counts, 20)
	require.Len(t, asked[adminapi.DeadLetterList](p, "/dead?group="+groups.Groups[0].ID).Letters, 2)
	require.Contains(t, p.says("dead", "groups"), groups.Groups[0].ID)
	require.Contains(t, p.says("dead", "list", "--group", groups.Groups[0].ID), "bad1")

	models := asked[adminapi.ModelList](p, "/models?since=1h").Models
	require.Len(t, models, 1)
	m := models[0]
	require.Equal(t, []int64{6, 4, 2, 0}, []int64{m.Count, m.Completed, m.Failed, m.Canceled})
	require.InDelta(t, 1.0/3, m.FailingShare, 0.001)
	require.Nil(t, m.FailingChange)
	require.InEpsilon(t, 2, m.Inference.P50Seconds, 0.1)
	require.InEpsilon(t, 3, m.Queue.P95Seconds, 0.1)
	require.Equal(t, []adminapi.ModelError{{Error: "no GPU # [#<b>", Count: 2, Prediction: "bad1"}}, m.Errors)

	var alarms adminapi.AlarmList
	require.Eventually(t, func() bool {
		alarms = asked[adminapi.AlarmList](p, "/alarms?active=true")
		return len(alarms.Alarms) > 0
	}, patience, 50*time.Millisecond)
	require.True(t, alarms.Alarms[0].Active)
	require.Contains(t, p.says("alarms"), alarms.Alarms[0].Kind)
}
