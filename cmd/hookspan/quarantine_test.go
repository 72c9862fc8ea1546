package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// quarantine runs one of the verbs against the bridge and reads its JSON.
func (p *program) quarantine(out any, args ...string) {
	p.t.Helper()
	code, stdout, stderr := runVerb(append([]string{"--json", "quarantine"}, append(args, "--api", p.ready.Admin)...)...)
	require.Equal(p.t, 0, code, stderr)
	reflect.ValueOf(out).Elem().SetZero() // a map would keep what it had
	require.NoError(p.t, json.Unmarshal([]byte(stdout), out), stdout)
}

// awaitRefused waits until the ring, which is written behind the answers, has n.
func (p *program) awaitRefused(n int) []adminapi.KeptDelivery {
	p.t.Helper()
	var list adminapi.KeptList
	require.Eventually(p.t, func() bool {
		p.quarantine(&list, "list", "--stream", "refused", "--limit", "1000")
		return len(list.Entries) == n
	}, patience, 20*time.Millisecond, p.logs)
	return list.Entries
}

// A secret that was mistyped destroys nothing: twenty webhooks are refused, the secret's file is
// put right, and all twenty become events, with the time at which they were first received.
func TestMistypedSecretIsRepaired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", "sha256="+secret+"\n")
	p := serve(t, dir, fileSecretConfig)
	const webhooks = 20
	for i := range webhooks {
		status, text := p.post(fmt.Sprintf(`{"id":"pred_%d","status":"failed"}`, i))
		require.Equal(t, 401, status)
		require.NotContains(t, text, "quotes", "the sender is not told why")
	}
	for _, w := range p.awaitRefused(webhooks) {
		require.Equal(t, "secret_prefix", w.Cause, w.Detail)
	}
	p.logged("the quotes around it")
	var report adminapi.KeptReport
	p.quarantine(&report, "reverify")
	require.Equal(t, adminapi.KeptReport{LookedAt: webhooks, Last: webhooks, Remaining: map[string]int{"secret_prefix": webhooks}}, withoutLast(report, webhooks))

	put(t, dir, "secret", secret+"\n")
	p.logged(`"sources_changed":["get3w"]`)
	repaired := time.Now()
	p.quarantine(&report, "reverify", "--dry-run")
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: webhooks, Events: webhooks, Removed: webhooks, Last: webhooks, Remaining: map[string]int{}}, withoutLast(report, webhooks))
	require.Empty(t, p.events())
	p.awaitRefused(webhooks)

	code, stdout, stderr := runVerb("quarantine", "reverify", "--api", p.ready.Admin)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "20 looked at: 20 became events, 0 were events already")
	events := p.events()
	require.Len(t, events, webhooks)
	seen := map[string]bool{}
	for _, m := range events {
		e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
		require.NoError(t, err)
		require.True(t, e.ReceivedAt.Before(repaired), "the time of the first receipt")
		require.Equal(t, bridge.OriginWebhook, e.Origin)
		seen[e.PredictionID] = true
	}
	require.Len(t, seen, webhooks)
	p.awaitRefused(0)

	p.quarantine(&report, "reverify")
	require.Equal(t, adminapi.KeptReport{Remaining: map[string]int{}}, withoutLast(report, 0))
	status, text := p.post(`{"id":"pred_3","status":"failed"}`) // the sender's retry
	require.Equal(t, 200, status)
	require.Contains(t, text, `"duplicate"`)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
}

// withoutLast sets what a sum over both streams says of one only.
func withoutLast(r adminapi.KeptReport, last uint64) adminapi.KeptReport {
	r.Last = last
	return r
}

// A delivery that was answered 200 as quarantined is there after a crash, once however often the
// sender repeated it, and until a person handles it.
func TestQuarantineSurvivesACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	for range 3 {
		status, text := p.post(`{"status":"failed"}`)
		require.Equal(t, 200, status)
		require.JSONEq(t, `{"result":"quarantined","cause":"no_id"}`, text)
	}
	stale := `{"id":"old","status":"failed","completed_at":"2026-01-01T00:00:00Z"}`
	_, text := p.post(stale)
	require.Contains(t, text, `"cause":"stale"`)
	p.kill()

	p = serve(t, dir, smallConfig)
	var list adminapi.KeptList
	p.quarantine(&list, "list")
	require.Len(t, list.Entries, 2)
	require.Equal(t, "no_id", list.Entries[1].Cause)
	code, stdout, stderr := runVerb("quarantine", "list", "--cause", "stale", "--api", p.ready.Admin)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, 2, strings.Count(stdout, "\n"))
	require.Contains(t, stdout, "stale")
	code, stdout, stderr = runVerb("quarantine", "show", "quarantine", "2", "--api", p.ready.Admin)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, `X-Get3w-Signature: "`)
	require.True(t, strings.HasSuffix(stdout, "\n\n"+stale), stdout)
	var detail adminapi.KeptDetail
	p.quarantine(&detail, "show", "quarantine", "2")
	require.Equal(t, stale, *detail.Body)

	var report adminapi.KeptReport
	p.quarantine(&report, "reverify", "--stream", "quarantine", "--seq", "2", "--accept-stale")
	require.Equal(t, 1, report.Events)
	require.Len(t, p.events(), 1)
	code, _, stderr = runVerb("quarantine", "show", "quarantine", "2", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no such entry")

	p.quarantine(&report, "drop", "--stream", "quarantine", "--dry-run")
	require.Equal(t, 1, report.Removed)
	code, stdout, stderr = runVerb("quarantine", "drop", "--stream", "quarantine", "--yes", "--api", p.ready.Admin)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "1 dropped")
	p.quarantine(&list, "list")
	require.Empty(t, list.Entries)
}

// Entries beyond one call of the API are worked on too.
func TestReverifyGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", "mistyped")
	p := serve(t, dir, fileSecretConfig)
	const webhooks = fewEntries + 7
	for i := range webhooks {
		status, _ := p.post(fmt.Sprintf(`{"id":"pred_%d","status":"failed"}`, i))
		require.Equal(t, 401, status)
	}
	p.awaitRefused(webhooks)
	put(t, dir, "secret", secret)
	p.logged(`"sources_changed":["get3w"]`)
	var report adminapi.KeptReport
	p.quarantine(&report, "reverify", "--source", "get3w")
	require.Equal(t, webhooks, report.Events)
	require.Equal(t, webhooks, report.Removed)
	require.False(t, report.More)
	require.Len(t, p.events(), webhooks)
	_, text := p.admin("/metrics")
	require.Contains(t, text, fmt.Sprintf(`hookspan_refused_total{cause="not_authentic",source="get3w"} %d`, webhooks))
}

// Secrets of a request get into no stream and no log.
func TestNothingSecretIsKept(t *testing.T) {
	t.Parallel()
	const pathToken = "path-token-that-must-not-be-seen"
	dir := t.TempDir()
	put(t, dir, "token", pathToken)
	put(t, dir, "retired", "a-retired-secret-not-to-be-seen")
	p := serve(t, dir, smallConfig+"sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], retired_secrets: [file:retired, file:gone], path_token: file:token}}\n")
	require.Contains(t, p.logs.String(), "a retired secret is not there")
	for _, path := range []string{"/" + pathToken, "/" + pathToken + "x", ""} {
		body := fmt.Sprintf("[%d]", len(path))
		req, err := http.NewRequest(http.MethodPost, p.url()+path, strings.NewReader(body))
		require.NoError(t, err)
		sign(t, req.Header, body)
		req.Header.Set("Cookie", "a-cookie-not-to-be-seen=1")
		req.Header.Set("X-Forwarded-Uri", "/webhooks/get3w"+path)
		req.Header.Set("X-Old", "a-retired-secret-not-to-be-seen")
		req.Header.Set("X-Signature", secret)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
	}
	p.awaitRefused(2)
	var list adminapi.KeptList
	p.quarantine(&list, "list")
	require.Len(t, list.Entries, 3)
	require.Equal(t, 0, p.stop(), p.logs)
	for _, hidden := range []string{secret, pathToken, "a-cookie-not-to-be-seen", "a-retired-secret-not-to-be-seen"} {
		require.NotContains(t, p.logs.String(), hidden)
		require.NoError(t, filepath.WalkDir(filepath.Join(dir, "hookspan-data"), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(text), hidden, path)
			return nil
		}))
	}
}

func TestQuarantineVerbsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"drop"}, 2, "--stream: say quarantine or refused"},
		{[]string{"reverify", "--seq", "1"}, 2, "name it with --stream"},
		{[]string{"list", "--stream", "events"}, 2, "quarantine"},
		{[]string{"list", "--api", "127.0.0.1:1"}, 1, "--api: write an address"},
		{[]string{"list", "--api", "http://127.0.0.1:1"}, 1, "is it running"},
	} {
		code, _, stderr := runVerb(append([]string{"quarantine"}, c.args...)...)
		require.Equal(t, c.code, code, c.args)
		require.Contains(t, stderr, c.want)
	}
	p := serveHere(t, strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {enabled: false}}\nroles: [admin, consumers]", 1))
	code, _, stderr := runVerb("quarantine", "reverify", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no role ingress")
	code, _, stderr = runVerb("quarantine", "list", "--limit", "5000", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "limit is 1 to 1000")
}
