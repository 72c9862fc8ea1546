package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/internal/natstest"
)

// admin gets a path of the listener for operators.
func (p *program) admin(path string) (status int, text string) {
	p.t.Helper()
	res, err := http.Get(p.ready.Admin + path)
	require.NoError(p.t, err, p.logs)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, string(body)
}

// becomes waits until /readyz has the status and says the words.
func (p *program) becomes(status int, words string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		got, text := p.admin("/readyz")
		return got == status && strings.Contains(text, words)
	}, patience, 10*time.Millisecond, p.logs)
}

// fill posts webhooks of the size until one is refused, or ordinary ones would be.
func (p *program) fill(size int) {
	p.t.Helper()
	for i := range 1000 {
		status, _ := p.post(fmt.Sprintf(`{"id":"pred_%d_%d","status":"processing","x":%q}`, size, i, strings.Repeat("x", size)))
		if ready, _ := p.admin("/readyz"); status != 200 || ready != 200 {
			return
		}
	}
	p.t.Fatal("everything was stored")
}

// While neither NATS nor the journal can store, the process lives, is not ready, and says why.
func TestReadinessFollowsNATSAndJournal(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0", max_body: 1KiB}
admin: {listen: "127.0.0.1:0"}
nats: {url: "`+x.URL()+`"}
journal: {max_bytes: 65KiB}
consumers: {archive: {enabled: false}}
`)
	p.becomes(200, "ready") // by the journal
	p.fill(500)
	p.becomes(503, "- nothing can be stored: the journal is full, and there is no connection to the NATS at nats.url\n")
	status, text := p.admin("/livez")
	require.Equal(t, 200, status, text)
	x.Start()
	p.becomes(200, "ready")
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestReadinessFollowsTheEmbeddedStream(t *testing.T) {
	t.Parallel()
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0", max_body: 64KiB}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 1MiB}}
journal: {max_bytes: 200KiB}
consumers: {archive: {enabled: false}}
`)
	p.becomes(200, "ready")
	p.fill(60_000)
	p.fill(500)
	p.becomes(503, "- nothing can be stored: the journal is full, and ")
	require.Equal(t, 0, p.stop(), p.logs)
}

// The folder's lock says where the listener is, so that a verb finds it; without
// one it says nothing.
func TestAdminAddressIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, p.ready.Admin)
	holder, err := app.ReadHolder(filepath.Join(dir, "hookspan-data"))
	require.NoError(t, err)
	require.Equal(t, app.Holder{PID: p.cmd.Process.Pid, Ready: true, NATSURL: p.ready.NATS, AdminURL: p.ready.Admin, WebhooksURL: strings.TrimSuffix(p.url(), "/webhooks/get3w"), Config: filepath.Join(dir, "hookspan.yaml")}, holder)
	require.Equal(t, 0, p.stop(), p.logs)

	p = serve(t, dir, strings.Replace(smallConfig, `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: ""}`, 1))
	require.Empty(t, p.ready.Admin)
	require.Equal(t, 0, p.stop(), p.logs)
}

// Each role runs what it is about and needs nothing of the others.
func TestRoles(t *testing.T) {
	t.Parallel()
	nats := natstest.NewExternal(t, nil)
	nats.Start()
	fetched := make(chan struct{}, 1)
	outputs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case fetched <- struct{}{}:
		default:
		}
		_, _ = io.WriteString(w, "image")
	}))
	defer outputs.Close()
	body := `{"id":"pred_1","status":"completed","outputs":["` + outputs.URL + `/x.png"]}`
	config := `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "` + nats.URL() + `"}
sources: {get3w: {secrets: [file:secret]}}
consumers: {archive: {kind: archive, hosts: [127.0.0.1], allow_private: true}}
roles: `
	withSecret := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(withSecret, "secret"), []byte(secret), 0o600))

	in := serve(t, withSecret, config+"[ingress]\n")
	in.becomes(200, "ready")
	require.Eventually(t, func() bool { status, _ := in.post(body); return status == 200 }, patience, 10*time.Millisecond)

	require.Empty(t, fetched, "it runs no consumer")

	// No secret is there, and none is asked for.
	consume := serveHere(t, config+"[consumers]\n")
	require.Empty(t, consume.ready.Webhooks)
	consume.becomes(200, "ready")
	status, text := consume.admin("/api/v1/consumers")
	require.Equal(t, http.StatusNotImplemented, status, text)
	select {
	case <-fetched:
	case <-time.After(patience):
		t.Fatal("nobody archives the output: " + consume.logs.String())
	}

	admin := serveHere(t, config+"[admin]\n")
	require.Empty(t, admin.ready.Webhooks)
	admin.becomes(200, "ready")
	for _, p := range []*program{in, consume, admin} {
		require.Equal(t, 0, p.stop(), p.logs)
	}
}

// The table of metrics in the documentation and what is served are the same, with their types and
// labels. Names, units and help texts are as Prometheus wants them.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	served := map[string]string{}
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(target.Close)
	consumers := `{team: {kind: forward, start: all, url: "` + target.URL + `", secret: env:GET3W_WEBHOOK_SECRET, allow_private: true}, archive: {kind: archive}}`
	sources := `{get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {base_url: "` + target.URL + `", key: env:GET3W_WEBHOOK_SECRET}}}`
	for _, nats := range []string{`{listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}`, `{url: "` + natstest.NewExternal(t, nil).URL() + `"}`} {
		p := serveHere(t, "ingress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nconsumers: "+consumers+"\nsources: "+sources+"\nnats: "+nats+"\n")
		require.Eventually(t, func() bool { // what was there before is not counted
			_, text := p.admin("/metrics")
			return p.ready.NATS == "" || strings.Contains(text, "\nhookspan_predictions_leader 1\n")
		}, patience, 10*time.Millisecond)
		_, _ = p.post(documented)
		_, _ = p.post("{}")
		res, err := http.Post(p.url(), "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		res, err = http.Post(p.ready.Admin+"/api/v1/predictions/get3w/get3w/flux-dev", "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Eventually(t, func() bool { // the ring is written behind the answer, and not while NATS is away
			_, text := p.admin("/metrics")
			return p.ready.NATS == "" || strings.Contains(text, "hookspan_refused_kept_total{") &&
				strings.Contains(text, "hookspan_consumer_paused{") && strings.Contains(text, "hookspan_forward_request_seconds_count{") &&
				strings.Contains(text, "hookspan_predictions_ended_total{")
		}, patience, 10*time.Millisecond)
		status, text := p.admin("/metrics")
		require.Equal(t, 200, status)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		require.NoError(t, err)
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		for name, f := range families {
			if strings.HasPrefix(name, "hookspan_") {
				var labels []string
				for _, l := range f.GetMetric()[0].GetLabel() {
					labels = append(labels, l.GetName())
				}
				slices.Sort(labels)
				served[name] = strings.ToLower(f.GetType().String()) + " by " + strings.Join(labels, ",")
			} else {
				require.Regexp(t, `^(go|process)_`, name)
			}
		}
		require.NotContains(t, text, secret)
		require.Equal(t, 0, p.stop(), p.logs)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(cells[1], " `hookspan_") {
			name, labels, _ := strings.Cut(strings.Trim(strings.TrimSpace(cells[1]), "`"), "{")
			by := strings.FieldsFunc(labels, func(r rune) bool { return r == ',' || r == '}' })
			slices.Sort(by)
			documented[name] = strings.TrimSpace(cells[2]) + " by " + strings.Join(by, ",")
		}
	}
	require.Equal(t, documented, served)
}

// Lines of the log are metrics too.
func TestErrorsAreCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	cmd.Env = append(cmd.Env, "GET3W_WEBHOOK_SECRET=")
	p := start(t, dir, cmd)
	warnings, errs := 0, 0
	for line := range strings.Lines(p.logs.String()) {
		var entry struct {
			Level string `json:"level"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		switch entry.Level {
		case "warn":
			warnings++
		case "error":
			errs++
		}
	}
	require.NotZero(t, errs)
	_, text := p.admin("/metrics")
	require.Contains(t, text, `hookspan_log_lines_total{level="error"} `+strconv.Itoa(errs))
	require.Contains(t, text, `hookspan_log_lines_total{level="warn"} `+strconv.Itoa(warnings))
}
