package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// A delivery with half a surrogate in its body is authentic, and no strict reader takes it. An
// operator makes an event of it, with the body as it came, and the log says who did and why.
func TestQuarantineAccept(t *testing.T) {
	t.Parallel()
	body := `{"id":"pred_1","status":"failed","error":"no","input":{"prompt":"\ud800"}}`
	p := serveHere(t, smallConfig)
	status, text := p.post(body)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"result":"quarantined","cause":"syntax"}`, text)
	status, _ = p.post(`{"id":"a","id":"b","status":"failed"}`)
	require.Equal(t, 200, status)

	var report adminapi.KeptReport
	p.quarantine(&report, "accept", "1", "2", "--dry-run")
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: 2, Last: 2, Events: 1, Remaining: map[string]int{"duplicate_key": 1}}, report)
	require.Empty(t, p.events())
	code, stdout, stderr := runVerb("quarantine", "accept", "1", "2", "7", "--reason", "ticket 4711\u2028", "--api", p.ready.Admin)
	require.Zero(t, code, stderr)
	require.Equal(t, "2 looked at: 1 became events, 0 were events already\n  1 stay: duplicate_key\n  1 are not in quarantine\n", stdout)
	events := p.events()
	require.Len(t, events, 1)
	require.Equal(t, body, string(events[0].Data()), "byte for byte")
	require.Equal(t, "pred_1", events[0].Headers().Get("ce-subject"))

	// A missing entry is an error, also one that was removed.
	for entries, want := range map[string]string{"99": "[99]", "99 --dry-run": "[99]", "99 1 1": "[1 99]"} {
		args := append([]string{"quarantine", "accept", "--api", p.ready.Admin}, strings.Fields(entries)...)
		code, stdout, stderr := runVerb(args...)
		require.Equal(t, exitFailed, code, entries)
		require.Empty(t, stdout)
		want = "the entries " + want + " are not in quarantine: hookspan quarantine list shows those that are"
		require.Equal(t, "hookspan: "+want+"\n", stderr)
		code, stdout, stderr = runVerb(append(args, "--json")...)
		require.Equal(t, exitFailed, code, entries)
		require.Empty(t, stdout)
		var failed failure
		require.NoError(t, json.Unmarshal([]byte(stderr), &failed))
		require.Equal(t, failure{Error: want, Code: exitFailed}, failed)
	}
	require.Len(t, p.events(), 1)
	var said map[string]any
	for line := range strings.Lines(p.logs.String()) {
		if strings.Contains(line, "was accepted as an event") {
			require.NoError(t, json.Unmarshal([]byte(line), &said))
		}
	}
	require.Equal(t, "syntax", said["cause"])
	require.Equal(t, "ticket 4711\u2028", said["reason"])
	require.Equal(t, operator(), said["by"])
	require.Contains(t, said["from"], "127.0.0.1:")
	require.Equal(t, "pred_1/failed/", said["event"].(string)[:len("pred_1/failed/")])

	for _, call := range []string{`{}`, `{"seqs":[]}`, `{"seqs":[1],"stream":"refused"}`, `{"seqs":[1],"by":"` + strings.Repeat("x", 257) + `"}`} {
		res, err := http.Post(p.ready.Admin+"/api/v1/quarantine/accept", "application/json", strings.NewReader(call))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusBadRequest, res.StatusCode, call)
	}
}
