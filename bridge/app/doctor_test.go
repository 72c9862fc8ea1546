package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// examined returns what the doctor says of a configuration without a bridge.
func examined(t *testing.T, text string) adminapi.Doctor {
	t.Helper()
	cfg, err := config.Load(configFile(t, text))
	require.NoError(t, err)
	return Doctor(t.Context(), cfg, func(name string) (string, bool) {
		if name == "GET3W_WEBHOOK_SECRET" || name == "OTHER" {
			return sampleSecret + strings.ToLower(name), true
		}
		return "", false
	})
}

// findings are those of a check about a subject.
func findings(d adminapi.Doctor, check, subject string) (out []adminapi.Finding) {
	for _, f := range d.Findings {
		if f.Check == check && f.Subject == subject {
			out = append(out, f)
		}
	}
	return out
}

func requireFinding(t *testing.T, d adminapi.Doctor, check, subject string, level adminapi.FindingLevel) {
	t.Helper()
	for _, f := range findings(d, check, subject) {
		if f.Level == level {
			return
		}
	}
	t.Fatalf("no %s of %s %q in %+v", level, check, subject, d)
}

// Without a bridge the configuration and the machine are examined, and each finding goes with its
// cause.
func TestDoctorWithoutABridge(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Header.Get("Authorization")
		if r.URL.Path == "/behind" {
			w.Header().Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
		}
	}))
	defer service.Close()
	dir := t.TempDir()
	archive := filepath.Join(dir, "archive")
	require.NoError(t, os.Mkdir(archive, 0o700))
	blocked := filepath.Join(dir, "blocked")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte("a-secret-of-everybody"), 0o600))
	require.NoError(t, os.Chmod(open, 0o644)) //nolint:gosec // it is to be found
	text := func(source, admin, store, url string) string {
		return "data_dir: " + filepath.Join(dir, "data") + "\nadmin: " + admin + "\nsources: {get3w: " + source + "}\nconsumers:\n  archive: {store: \"file://" + store +
			"\", max_bytes: 5GiB}\n  post: {kind: forward, url: \"" + url + "\", allow_private: true, secret: env:OTHER}\n"
	}
	bad := examined(t, text("{secrets: [env:NOPE], api: {key: \"file:"+open+"\", base_url: \""+service.URL+"/behind\"}}",
		"{listen: \"0.0.0.0:0\", tokens: [{name: a, scopes: [read], secret: env:OTHER}]}", blocked, "http://127.0.0.1:1"))
	require.Equal(t, adminapi.GradeUnsafe, bad.Grade)
	good := examined(t, text("{secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:OTHER, base_url: \""+service.URL+"\"}}", "{listen: \"127.0.0.1:0\"}", archive, service.URL))
	for _, c := range []struct {
		check, subject string
		before, after  adminapi.FindingLevel
	}{
		{doctor.CheckSource, "get3w", adminapi.FindingProblem, adminapi.FindingOK},
		{doctor.CheckSecrets, "sources.get3w.api.key", adminapi.FindingWarning, ""},
		{doctor.CheckSecrets, "consumers.post.secret", adminapi.FindingWarning, ""},
		{doctor.CheckAdmin, "admin.listen", adminapi.FindingWarning, adminapi.FindingOK},
		{doctor.CheckArchive, "archive", adminapi.FindingProblem, adminapi.FindingOK},
		{doctor.CheckTarget, "post", adminapi.FindingWarning, adminapi.FindingOK},
		{doctor.CheckClock, "provider of get3w", adminapi.FindingProblem, adminapi.FindingOK},
		{doctor.CheckAPI, "get3w", adminapi.FindingOK, adminapi.FindingOK},
		{doctor.CheckFsync, "", adminapi.FindingOK, adminapi.FindingOK},
		{doctor.CheckOutage, "get3w", adminapi.FindingNote, adminapi.FindingNote},
	} {
		if c.check != doctor.CheckSecrets || c.subject != "consumers.post.secret" { // the second of two is named
			requireFinding(t, bad, c.check, c.subject, c.before)
		}
		if c.after == "" {
			continue
		}
		requireFinding(t, good, c.check, c.subject, c.after)
	}
	require.NotEmpty(t, findings(good, doctor.CheckDisk, filepath.Join(dir, "data")))
	var unknown []string
	for _, u := range good.Unknown {
		unknown = append(unknown, u.Check)
	}
	require.Equal(t, []string{"alarms", "duplicate_window", "open_files", "ready", "streams", "view"}, unknown)
	require.NoDirExists(t, filepath.Join(dir, "data"), "nothing is made")
	left, err := os.ReadDir(archive)
	require.NoError(t, err)
	require.Empty(t, left)
	for range 3 {
		require.Equal(t, "HEAD ", <-asked, "no key travels")
	}
	answer, err := json.Marshal([]any{good, bad})
	require.NoError(t, err)
	for _, hidden := range []string{sampleSecret, "a-secret-of-everybody"} {
		require.NotContains(t, string(answer), hidden)
	}
}

// asked returns what a bridge that runs says of itself, made anew.
func (a *App) asked(t *testing.T) (d adminapi.Doctor) {
	t.Helper()
	status, text := answerOf(t, a, http.MethodGet, admin.APIPrefix+"/doctor", "", func(*http.Request, *http.Response) {})
	require.Equal(t, 200, status, "%s", text)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// A bridge examines itself.
func TestDoctorOfABridge(t *testing.T) {
	t.Parallel()
	a, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	d := a.asked(t)
	require.NotEmpty(t, findings(d, doctor.CheckOpen, ""))
	for _, check := range []string{doctor.CheckReady, doctor.CheckStreams, doctor.CheckWindow, doctor.CheckFsync} {
		requireFinding(t, d, check, "", adminapi.FindingOK)
	}
	requireFinding(t, d, doctor.CheckArchive, "archive", adminapi.FindingOK)
	require.Empty(t, findings(d, doctor.CheckRights, ""), "that is for an external NATS")
	require.Equal(t, d, a.asked(t), "it serves others who ask for a while")

	// An alarm is a finding while it is active.
	a.store.alarms.Raise(bridge.Alarm{Kind: bridge.AlarmClock, Subject: "forward", Text: "the clock jumped"})
	operator := func() adminapi.Doctor { return (&doctorOperator{app: a}).Doctor(t.Context()) }
	require.Eventually(t, func() bool { return len(findings(operator(), doctor.CheckAlarms, "clock forward")) == 1 }, time.Minute, 50*time.Millisecond)
}

// An external NATS is examined by a connection of its own, and each finding goes with its cause.
func TestDoctorOfAnExternalNATS(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "p"},
			{Username: "bridge", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"hookspan.quarantine.>"}}}},
		}
	})
	x.Start()
	text := "data_dir: " + t.TempDir() + "\ningress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \"" + x.URL() +
		"\", user: bridge, password: env:P, events: {max_bytes: 64MiB}, provision: verify}\nconsumers: {archive: {enabled: false}}\n"
	cfg, err := config.Load(configFile(t, text))
	require.NoError(t, err)
	getenv := func(name string) (string, bool) {
		return map[string]string{"P": "p", "GET3W_WEBHOOK_SECRET": sampleSecret}[name], true
	}
	a, err := New(cfg, Options{Getenv: getenv, Log: os.Stderr})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	events, dead := a.cfg.Names().EventsStream(), a.cfg.Names().DeadStream()
	operator := func() adminapi.Doctor { return (&doctorOperator{app: a}).Doctor(t.Context()) }

	d := operator()
	requireFinding(t, d, doctor.CheckStreams, events, adminapi.FindingProblem)
	requireFinding(t, d, doctor.CheckRights, "hookspan.quarantine.hookspan-doctor", adminapi.FindingProblem)
	requireFinding(t, d, doctor.CheckFsync, "", adminapi.FindingWarning)
	requireFinding(t, d, doctor.CheckReplicas, "", adminapi.FindingWarning)
	requireFinding(t, d, doctor.CheckNATSTLS, "", adminapi.FindingOK)

	x.Reload(func(o *server.Options) { o.Users[1].Permissions = nil })
	js := x.JetStream(nats.UserInfo("admin", "p"))
	for _, want := range a.store.streams.All() {
		switch want.Name {
		case events:
			want.Duplicates = time.Minute
		case dead:
			want.Discard = jetstream.DiscardOld
		}
		_, err := js.CreateStream(t.Context(), want)
		require.NoError(t, err)
	}
	d = operator()
	require.Empty(t, findings(d, doctor.CheckRights, "hookspan.quarantine.hookspan-doctor"), "%+v", d)
	requireFinding(t, d, doctor.CheckRights, "", adminapi.FindingOK)
	requireFinding(t, d, doctor.CheckWindow, "", adminapi.FindingProblem)
	requireFinding(t, d, doctor.CheckStreams, dead, adminapi.FindingProblem)
	requireFinding(t, d, doctor.CheckClock, "NATS", adminapi.FindingOK)

	provisioned := *cfg
	provisioned.DataDir = t.TempDir()
	_, err = Provision(t.Context(), &provisioned, Options{Getenv: getenv, Log: os.Stderr})
	require.NoError(t, err)
	d = operator()
	requireFinding(t, d, doctor.CheckWindow, "", adminapi.FindingOK)
	requireFinding(t, d, doctor.CheckStreams, "", adminapi.FindingOK)

	x.Stop()
	d = operator()
	requireFinding(t, d, doctor.CheckNATS, "", adminapi.FindingProblem)
	require.NotEmpty(t, d.Unknown)
	x.Start()
	requireFinding(t, operator(), doctor.CheckNATSTLS, "", adminapi.FindingOK)
}

// What there is no time for is unknown, and no finding.
func TestDoctorWithoutTime(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+"\nconsumers: {archive: {enabled: false}, post: {kind: forward, url: \"http://127.0.0.1:1\", allow_private: true, secret: env:S}}\n"))
	require.NoError(t, err)
	d := Doctor(ended, cfg, func(string) (string, bool) { return sampleSecret, true })
	require.Empty(t, findings(d, doctor.CheckTarget, "post"))
	require.Contains(t, d.Unknown, adminapi.Unchecked{Check: doctor.CheckTarget, Why: "post: there was no time left to ask"})
}

// Kinds of file systems are told apart by their numbers.
func TestFileSystem(t *testing.T) {
	t.Parallel()
	for number, want := range map[int64]doctor.FileSystem{0x01021994: doctor.Memory, 0xef53: doctor.Local, 0x6969: doctor.Network} {
		require.Equal(t, want, fileSystem(number), strconv.FormatInt(number, 16))
	}
}
