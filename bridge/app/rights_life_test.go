package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/signing"
)

// serverLog has what a server has refused, and fails the test at its end for each of these.
type serverLog struct {
	mu      sync.Mutex
	refused []string
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Warnf(string, ...any)   {}
func (l *serverLog) Fatalf(string, ...any)  {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
func (l *serverLog) Errorf(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); strings.Contains(line, "Violation") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = append(l.refused, line)
	}
}

const lifeConfig = `
ingress: {listen: "127.0.0.1:0", ack: quorum}
admin: {listen: "127.0.0.1:0"}
sources:
  get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:KEY, base_url: "PROVIDER"}}
  pod: {kind: runpod, api: {key: env:KEY, base_url: "PROVIDER"}}
consumers:
  archive: {kind: archive, store: "file://ARCHIVE", hosts: [127.0.0.1], allow_private: true}
  failing: {kind: exec, command: [/bin/sh, -c, "exit 65"], filter: {status: failed}}
  slow: {kind: exec, command: [/bin/sh, -c, "exit 75"], retry: {first: 3m}, once: true, filter: {status: canceled}}
  search: {kind: pull, filter: {status: completed}, start: all}
`

// Each role of a bridge is a process with a user of its own, which has the rights of
// deploy/nats/accounts.conf and no others. A webhook lives its whole life, operators do what they
// may do, and the server refuses nothing.
func TestEachRoleHasTheRightsItNeeds(t *testing.T) {
	for _, role := range []string{"BRIDGE", "INGRESS", "CONSUMERS", "RECONCILER", "ADMIN", "PROVISION", "BACKUP", "SEARCH", "MONITOR"} {
		t.Setenv("HOOKSPAN_"+role+"_PASSWORD", "p")
	}
	accounts, err := server.ProcessConfigFile("../../deploy/nats/accounts.conf")
	require.NoError(t, err)
	log := &serverLog{}
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Accounts, o.Users, o.SystemAccount, o.MaxPayload = accounts.Accounts, accounts.Users, accounts.SystemAccount, 8<<20
		o.NoLog = false
	})
	x.Log = log
	x.Start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	whole, err := stream.Try(ctx, stream.ExternalConfig{URL: x.URL(), User: "bridge", Password: func() string { return "p" }, InboxPrefix: "_INBOX_hookspan_bridge"},
		rights.Of(bridge.Names{}, "_INBOX_hookspan_bridge", rights.Ingress, rights.Consumers, rights.Reconciler, rights.Admin))
	require.NoError(t, err)
	require.Empty(t, whole.Missing, "one process with all roles")
	require.NotNil(t, whole.Sync, "the server tells when it syncs")
	runLife(t, x)
	log.mu.Lock()
	refused := log.refused
	log.mu.Unlock()
	require.Empty(t, refused)

	// A move is refused before it begins when one of its users lacks rights.
	dir := t.TempDir()
	of := func(nats string) *config.Config {
		cfg, err := config.Load(configFile(t, "data_dir: "+dir+"\nconsumers: {archive: {enabled: false}}\nnats: {"+nats+"}\n"))
		require.NoError(t, err)
		return cfg
	}
	for user, want := range map[string]string{"bridge": "a move needs the rights of user backup", "backup": "already, and nothing is overwritten"} {
		next := of("url: \"" + x.URL() + "\", user: " + user + ", password: env:P, inbox_prefix: _INBOX_hookspan_" + user)
		_, err = NoteMove(t.Context(), of(""), "", next, Options{Getenv: func(string) (string, bool) { return "p", true }, Log: io.Discard})
		require.ErrorContains(t, err, want, user)
	}
}

func runLife(t *testing.T, x *natstest.External) {
	files, _ := newProvider(t)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "pod") {
			_, _ = w.Write([]byte(`{"id":"pod_1","status":"COMPLETED","output":"done"}`))
			return
		}
		if r.Method == http.MethodPost {
			_, _ = w.Write([]byte(`{"code":200,"data":{"id":"pred_submitted","status":"created"}}`))
			return
		}
		id := r.URL.Path[strings.LastIndex(strings.TrimSuffix(r.URL.Path, "/result"), "/")+1:]
		id = strings.TrimSuffix(id, "/result")
		_, _ = fmt.Fprintf(w, `{"code":200,"data":{"id":%q,"status":"failed","error":"no"}}`, id)
	}))
	defer provider.Close()
	text := strings.NewReplacer("PROVIDER", provider.URL, "ARCHIVE", t.TempDir()).Replace(lifeConfig)
	getenv := func(name string) (string, bool) {
		v, ok := map[string]string{"P": "p", "KEY": "key-0123456789abcdef", "GET3W_WEBHOOK_SECRET": sampleSecret}[name]
		return v, ok
	}
	load := func(user, more string) *config.Config {
		cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+text+"nats: {url: \""+x.URL()+"\", user: "+user+", password: env:P, inbox_prefix: _INBOX_hookspan_"+user+", events: {max_bytes: 64MiB}, provision: verify}\n"+more))
		require.NoError(t, err)
		return cfg
	}
	_, err := Provision(t.Context(), load("provision", ""), Options{Getenv: getenv, Log: io.Discard})
	require.NoError(t, err)
	apps := map[string]*App{}
	for _, role := range []string{"ingress", "consumers", "reconciler", "admin"} {
		cfg := load(role, "roles: ["+role+"]\n")
		a, err := New(cfg, Options{Getenv: getenv, Log: io.Discard})
		require.NoError(t, err)
		defer func() { require.NoError(t, a.Stop()) }()
		require.NoError(t, a.Start(t.Context()))
		apps[role] = a
	}
	in, operator := apps["ingress"], apps["admin"]
	post := func(path, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(in.Ready().Webhooks["get3w"], "get3w")+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set(signing.Header, signing.Sign([]byte(body), []byte(sampleSecret)))
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	hook := func(id, status, more string) {
		require.Equal(t, 200, post("get3w", `{"id":"`+id+`","status":"`+status+`","model":"google/nano"`+more+`,"completed_at":"`+time.Now().UTC().Format(time.RFC3339)+`"}`))
	}
	ask := func(method, path, body string, want int) []byte {
		t.Helper()
		var text []byte
		var status int
		require.Eventually(t, func() bool {
			status, text = answerOf(t, operator, method, "/api/v1"+path, body, func(*http.Request, *http.Response) {})
			return status == want
		}, 20*time.Second, 50*time.Millisecond, "%s %s: %d %s", method, path, &status, &text)
		return text
	}
	get := func(path string) []byte { t.Helper(); return ask("GET", path, "", 200) }
	act := func(path, body string) []byte { t.Helper(); return ask("POST", path, body, 200) }
	hook("pred_1", "completed", `,"outputs":["`+files+`/a.png"]`)
	hook("pred_2", "failed", "")
	hook("pred_3", "canceled", "")
	hook("pred_4", "processing", "")
	require.Equal(t, 200, post("get3w", "{"))
	require.Equal(t, 200, post("get3w", "{ "))
	require.Equal(t, 200, post("pod", `{"id":"pod_1","status":"COMPLETED","output":"said"}`))
	require.Equal(t, 404, post("nobody", "{}"))
	awaitStored(t, operator, "pred_1")
	has := func(path, what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(string(get(path)), what) }, 20*time.Second, 50*time.Millisecond, "%s has no %s", path, what)
	}
	has("/dead", "pred_2")
	has("/predictions", "pod_1")
	// the pull program
	nc, err := nats.Connect(x.URL(), nats.UserInfo("search", "p"))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	durable, err := js.Consumer(t.Context(), "HOOKSPAN_EVENTS", "search")
	require.NoError(t, err)
	m, err := durable.Next(jetstream.FetchMaxWait(30 * time.Second))
	require.NoError(t, err)
	meta, err := m.Metadata()
	require.NoError(t, err)
	names := bridge.Names{}
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: fmt.Sprintf("hookspan.later.search.%d", meta.Sequence.Stream), Header: m.Headers(), Data: m.Data()},
		jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget(names.Due("search", m.Subject())))
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(context.Background()))
	for {
		m, err = durable.Next(jetstream.FetchMaxWait(30 * time.Second))
		require.NoError(t, err)
		require.NoError(t, m.DoubleAck(context.Background()))
		if names.IsAgain(m.Subject()) {
			break
		}
	}
	answer, err := nc.Request("hookspan.watch.get3w", []byte(`{"prediction":"pred_5"}`), 30*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), "stored")

	for _, path := range []string{
		"/alarms", "/alarms?active=true", "/audit", "/config", "/consumers", "/consumers/slow/history", "/dead", "/dead/groups", "/doctor", "/events", "/jobs", "/me", "/models", "/names", "/predictions",
		"/predictions?q=a", "/quarantine", "/quarantine/causes", "/sources", "/status", "/view", "/events/1", "/quarantine/quarantine/1", "/dead/1", "/predictions/get3w/pred_2/timeline", "/predictions/get3w/pred_1/events",
	} {
		get(path)
	}
	ask("PUT", "/predictions/get3w/pred_6", `{"tenant":"acme"}`, 200)
	act("/poll", `{"source":"get3w","prediction":"pred_6"}`)
	act("/dead/redrive", `{"consumer":"failing"}`)
	has("/dead", "pred_2")
	act("/dead/drop", `{"consumer":"failing"}`)
	act("/events/replay", `{"consumer":"slow"}`)
	act("/consumers/slow/pause", `{}`)
	act("/consumers/slow/resume", `{}`)
	act("/consumers/slow/filter-skips", `{}`)
	act("/consumers/slow/seek", `{"new":true}`)
	act("/consumers", `{"name":"added"}`)
	act("/consumers/added/remove", `{}`)
	act("/quarantine/reverify", `{}`)
	act("/quarantine/accept", `{"seqs":[1], "reason":"x"}`)
	act("/quarantine/drop", `{"stream":"quarantine"}`)
	var job adminapi.Job
	require.NoError(t, json.Unmarshal(act("/jobs", `{"kind":"replay","consumer":"slow"}`), &job))
	has("/jobs/"+job.ID, `"done"`)
	act("/erase", `{"source":"get3w","prediction":"pred_1"}`)
	act("/view/rebuild", `{}`)

	// a backup of the bridge that runs, one of the bridge that does not, and its return to another NATS
	saveRunning(t, operator, filepath.Join(t.TempDir(), "running"))
	for _, a := range apps {
		require.NoError(t, a.Stop())
	}
	whole := filepath.Join(t.TempDir(), "whole")
	report, err := Backup(t.Context(), load("backup", ""), Options{Getenv: getenv, Log: io.Discard}, whole, func(int64) {})
	require.NoError(t, err)
	made := x.JetStream(nats.UserInfo("backup", "p"), nats.CustomInboxPrefix("_INBOX_hookspan_backup"))
	for _, stream := range report.Streams {
		require.NoError(t, made.DeleteStream(t.Context(), stream.Name), stream.Name)
	}
	_, err = Restore(t.Context(), load("backup", ""), Options{Getenv: getenv, Log: io.Discard}, whole, func(string, int) {})
	require.NoError(t, err)
}
