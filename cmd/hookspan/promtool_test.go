package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// Promtool has no complaint about what a bridge says of itself, once consumers of every kind have
// handled events and one has given up.
func TestPromtoolHasNoComplaint(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "promtool")
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuses" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	t.Cleanup(answers.Close)
	forward := func(name string) string {
		return fmt.Sprintf("  %s: {kind: forward, start: all, url: %q, secret: env:GET3W_WEBHOOK_SECRET, allow_private: true}\n", name, answers.URL+"/"+name)
	}
	p := serveHere(t, simulatedConfig+`
sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:GET3W_WEBHOOK_SECRET, base_url: "`+answers.URL+`"}}}
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true}
  runs: {kind: exec, start: all, command: [/bin/true]}
  reads: {kind: pull, start: all}
`+forward("takes")+forward("refuses"))
	status, text := p.post(`{"id":"pred_1","model":"m","status":"completed","outputs":["` + answers.URL + `/output"]}`)
	require.Equal(t, 200, status, text)
	p.post(`{"status":"completed"}`)
	res, err := http.Post(p.url(), "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Eventually(t, func() bool {
		_, text = p.admin("/metrics")
		for _, have := range []string{
			`hookspan_consumer_attempts_total{consumer="archive",verdict="done"} 1`, `hookspan_consumer_attempts_total{consumer="runs",verdict="done"} 1`,
			`hookspan_consumer_attempts_total{consumer="takes",verdict="done"} 1`, `hookspan_consumer_dead_letters{consumer="refuses"} 1`,
			`hookspan_consumer_state{consumer="reads",state="unread"} 1`, `hookspan_refused_kept_total{`, `hookspan_archive_outputs_total{consumer="archive",custody="stored"} 1`,
		} {
			if !strings.Contains(text, have) {
				return false
			}
		}
		return true
	}, patience, 100*time.Millisecond, "%v", &text)
	promtool := exec.Command("promtool", "check", "metrics")
	promtool.Stdin = strings.NewReader(text)
	said, err := promtool.CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Empty(t, string(said))
	require.Equal(t, 0, p.stop(), p.logs)
}
