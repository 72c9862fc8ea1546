package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// One call says why a prediction has not reached a consumer: a target that answers with errors,
// an open breaker, a dead letter, a wrong filter, a paused and an orphaned consumer.
func TestWhyHasItNotReachedBilling(t *testing.T) {
	t.Parallel()
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
	}))
	t.Cleanup(answers.Close)
	dir := t.TempDir()
	put(t, dir, "key", strings.Repeat("key-", 8))
	forward := func(name, url, model string) string {
		return fmt.Sprintf("  %s: {kind: forward, start: all, filter: {model: %q}, url: %q, secret: file:%s/key, allow_private: true}\n", name, model, url, dir)
	}
	away := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(natstest.FreePort(t)))
	consumers := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers:\n  archive: {enabled: false}\n"+
		forward("fails", answers.URL+"/500", "wanted")+forward("away", away, "*")+forward("refuses", answers.URL+"/422", "wanted")+forward("works", answers.URL+"/200", "wanted")+
		"  filters: {kind: pull, start: all, filter: {status: failed}}\n  waits: {kind: exec, command: [/bin/true], start: all, filter: {model: wanted}}\n", 1)
	p := serve(t, dir, strings.Replace(consumers, "  waits:", "  gone: {kind: pull, start: all}\n  waits:", 1))
	require.Eventually(t, func() bool { return strings.Contains(p.says("consumers", "list"), "gone") }, patience, 20*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
	p = serve(t, dir, consumers)
	p.says("consumers", "pause", "waits")
	for i := range 12 {
		status, text := p.post(fmt.Sprintf(`{"id":"other_%d","model":"other","status":"completed","outputs":[]}`, i))
		require.Equal(t, 200, status, text)
	}
	status, text := p.post(`{"id":"pred/x","model":"wanted","status":"completed","outputs":["https://cdn.get3w.com/a.png"]}`)
	require.Equal(t, 200, status, text)

	want := map[string]string{
		"fails": "failing", "away": "blocked", "refuses": "dead_letter", "filters": "not_meant", "waits": "paused", "gone": "orphaned", "works": "handled",
	}
	var line adminapi.Timeline
	lanes := map[string]adminapi.Lane{}
	require.Eventually(t, func() bool {
		status, text = p.admin("/api/v1/predictions/get3w/pred%2Fx/timeline")
		if status != 200 || json.Unmarshal([]byte(text), &line) != nil || len(line.Events) != 1 {
			return false
		}
		clear(lanes)
		for _, l := range line.Events[0].Lanes {
			lanes[l.Consumer] = l
		}
		for name, state := range want {
			if lanes[name].State != state {
				return false
			}
		}
		return true
	}, patience, 50*time.Millisecond, "%v", &text)
	require.Len(t, lanes, len(want))
	require.Equal(t, "pred/x", line.Prediction.ID)
	require.Equal(t, "hookspan.events.get3w.prediction.completed.wanted", line.Events[0].Subject)
	for name, say := range map[string][2]string{
		"fails":   {"answered 500", "Repair what the error names"},
		"away":    {"connection refused", "Repair what the reason names"},
		"refuses": {"answered 422", fmt.Sprintf("hookspan dead redrive --seq %d", lanes["refuses"].DeadSeq)},
		"filters": {"its filter does not pick the event", "hookspan events replay --consumer filters --seq"},
		"waits":   {"paused until somebody resumes it", "hookspan consumers resume waits"},
		"gone":    {"does not name the consumer any more", "hookspan consumers remove gone"},
		"works":   {"", ""},
	} {
		require.Contains(t, lanes[name].Reason, say[0], name)
		require.Contains(t, lanes[name].Remedy, say[1], name)
		require.NotEmpty(t, lanes[name].Words)
	}
	require.Positive(t, lanes["fails"].Last.Number)
	require.Contains(t, lanes["fails"].Failed[0].Error, "answered 500")
	require.Len(t, line.DeadLetters, 1)
	require.Equal(t, lanes["refuses"].DeadSeq, line.DeadLetters[0].Seq)

	shown := p.says("predictions", "show", "pred/x")
	for _, line := range []string{
		`refuses +dead letter, .*answered 422`, `waits +waiting in a pause: the consumer is paused`, `works +handled, attempt 1`, `Resume it with hookspan consumers resume waits`,
	} {
		require.Regexp(t, "(?m)^ +"+line, shown)
	}
	for search, ids := range map[string]string{
		"consumer:refuses=dead": "pred/x", "consumer:works=handled consumer:fails=failing": "pred/x", "consumer:works=dead": "", `"pred/" model:want* since:1h`: "pred/x",
		"status:failed": "", "expires<8d": "pred/x", "expires<6d": "", "missing": "",
	} {
		list := p.says("predictions", "list", "--search", search)
		require.Equal(t, ids != "", strings.Contains(list, "pred/x"), "%s: %s", search, list)
		require.NotContains(t, list, "other_", search)
	}
	code, _, stderr := runVerb("predictions", "list", "--search", "color:red", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `there is no key "color"`)
	require.Equal(t, 0, p.stop(), p.logs)
}

// Texts of strangers come as bounded JSON, and act in no terminal.
func TestTimelineOfStrangersTexts(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	const id = "<b>\x1b[2J\u202e\x00"
	body, err := json.Marshal(map[string]string{"id": id, "model": "<i>\x1b[31m\u202e\x00", "status": "failed", "error": "<script>\x1b[2J\u202e" + strings.Repeat("x", 1<<20)})
	require.NoError(t, err)
	status, text := p.post(string(body))
	require.Equal(t, 200, status, text)
	path := "/api/v1/predictions/get3w/" + url.PathEscape(id) + "/timeline"
	var line adminapi.Timeline
	require.Eventually(t, func() bool {
		status, text = p.admin(path)
		return status == 200 && strings.Contains(p.says("predictions", "list", "--search", `status:failed "`+id+`"`), "<i>")
	}, patience, 20*time.Millisecond, "%v", &text)
	require.Less(t, len(text), 64<<10)
	require.NoError(t, json.Unmarshal([]byte(text), &line))
	require.Equal(t, id, line.Prediction.ID)
	for _, raw := range []string{"<script>", "<b>", "\x1b", "\x00"} {
		require.NotContains(t, text, raw)
	}
	for _, shown := range []string{p.says("predictions", "show", id), p.says("--json", "predictions", "show", id), p.says("predictions", "list")} {
		require.False(t, strings.ContainsFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }), "%q", shown)
	}
	require.Equal(t, 0, p.stop(), p.logs)
}
