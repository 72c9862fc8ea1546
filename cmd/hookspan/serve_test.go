package main

import (
	"context"
	"net"
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
	"github.com/hookspan/hookspan/internal/natstest"
)

const documented = `{"id":"pred_abc123","model":"get3w/flux-dev","status":"completed",
 "outputs":["https://cdn.get3w.com/outputs/image-xxxxx.png"],"timings":{"inference":2500},"created_at":"2024-01-01T12:00:00.000Z"}`

// From a signed webhook to a durable that somebody else's client reads.
func TestWebhookBecomesADurableEvent(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir(), smallConfig)
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"stored"`)
	status, text = p.post(documented)
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"duplicate"`)

	js := p.natsEnv()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "hookspan.events.get3w.prediction.completed.>",
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, c.CachedInfo().NumPending)
	m, err := c.Next(jetstream.FetchContext(ctx))
	require.NoError(t, err)
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", m.Subject())
	require.Equal(t, documented, string(m.Data())) //nolint:testifylint // byte for byte, not JSON for JSON
	h := http.Header{}
	sign(t, h, documented)
	got := m.Headers()
	for key, want := range map[string]string{
		"ce-specversion": "1.0",
		"ce-source":      "/sources/get3w",
		"ce-type":        "com.get3w.prediction.completed.v1",
		"ce-subject":     "pred_abc123",
		"ce-model":       "get3w/flux-dev",
		"ce-status":      "completed",
		"ce-rawstatus":   "completed",
		"ce-origin":      "webhook",
		"ce-signature":   h.Get("X-Get3w-Signature"),
		"Nats-Msg-Id":    "get3w:" + got.Get("ce-id"),

		"ce-datacontenttype": "application/json", // what the sender did not say
	} {
		require.Equal(t, []string{want}, got[key], key)
	}
	require.Regexp(t, `^pred_abc123/completed/[0-9a-f]{16}$`, got.Get("ce-id"))
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`, got.Get("traceparent"))
	for _, key := range []string{"ce-time", "ce-receivedat"} {
		_, err := time.Parse(time.RFC3339Nano, got.Get(key))
		require.NoError(t, err, key)
	}
	require.Len(t, got, 15, "no header that the contract does not name")
	require.NoError(t, m.DoubleAck(ctx))

	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
}

// The archive keeps an output, and says so in its manifest, before anything of
// the provider is gone.
func TestOutputIsArchived(t *testing.T) {
	t.Parallel()
	outputs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("image at " + r.URL.Path))
	}))
	defer outputs.Close()
	dir := t.TempDir()
	p := serve(t, dir, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true}
`)
	status, text := p.post(`{"id":"pred_1","status":"completed","outputs":["` + outputs.URL + `/x.png?token=1"]}`)
	require.Equal(t, 200, status, text)
	folder := filepath.Join(dir, "hookspan-data", "archive", "get3w", time.Now().UTC().Format("2006/01/02"), "pred_1")
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(folder, "manifest.json"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	kept, err := os.ReadFile(filepath.Join(folder, "0.png"))
	require.NoError(t, err)
	require.Equal(t, "image at /x.png", string(kept))

	// Others hear of it as of any event.
	subjects, _ := bridge.Filter{Event: bridge.KindArchived}.Subjects(bridge.Names{})
	c, err := p.natsEnv().CreateConsumer(context.Background(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{FilterSubjects: subjects})
	require.NoError(t, err)
	m, err := c.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	ev, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	require.NoError(t, err)
	require.Equal(t, ev.MsgID(), m.Headers().Get(bridge.HeaderMsgID))
	archived, err := ev.Archived()
	require.NoError(t, err)
	require.Equal(t, "file://"+folder+"/0.png", archived.Outputs[0].URL)
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestWithoutSecretEverythingIsRefusedLoudly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	cmd.Env = append(cmd.Env, "GET3W_WEBHOOK_SECRET=")
	p := start(t, dir, cmd)
	status, _ := p.post(documented)
	require.Equal(t, 401, status)
	require.Contains(t, p.logs.String(), "NO SECRET")
	require.Contains(t, p.logs.String(), "env:GET3W_WEBHOOK_SECRET")
}

// A configuration that cannot be served ends the program at once, with one line that names the
// remedy.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running := serve(t, dir, smallConfig)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, c := range []struct{ name, config, want string }{
		{"folder in use", smallConfig, "data folder is in use by process " + strconv.Itoa(running.cmd.Process.Pid)},
		{"folder that cannot be", "data_dir: " + file + "/data" + smallConfig, "choose a folder that this user may write with data_dir"},
		{"webhook port taken", "data_dir: one\n" + strings.Replace(smallConfig, "127.0.0.1:0", taken.Addr().String(), 1), "choose another one with ingress.listen"},
		{"NATS port taken", "data_dir: two\n" + strings.Replace(smallConfig, `nats: {listen: "127.0.0.1:0"`, `nats: {listen: "`+taken.Addr().String()+`"`, 1), "choose another one with nats.listen"},
		{"bad config", "data_dir: x\nbogus: 1\n", "other.yaml:2:1: \"bogus\" is not a key here"},
		{"secret file missing", "data_dir: three\nsources:\n  get3w:\n    secrets: [file:/no/such]" + smallConfig, "/no/such"},
		{"path token not set", "data_dir: four\nsources:\n  get3w:\n    path_token: env:HOOKSPAN_TEST_UNSET" + smallConfig, "env:HOOKSPAN_TEST_UNSET is empty or not set"},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "other.yaml"), []byte(c.config), 0o600))
		cmd := command(t, dir, "serve", "--config", "other.yaml")
		out, err := cmd.CombinedOutput()
		require.Error(t, err, c.name)
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), c.name)
		var complaint []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "{") { // the log
				complaint = append(complaint, line)
			}
		}
		require.Len(t, complaint, 1, "%s: %s", c.name, out)
		require.Contains(t, complaint[0], c.want, c.name)
	}
}

// With an external NATS that is away, a delivery waits in the journal; when NATS
// comes, without a restart of the bridge, into the stream.
func TestExternalNATS(t *testing.T) {
	t.Parallel()
	port := natstest.FreePort(t)
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "nats://127.0.0.1:`+strconv.Itoa(port)+`", prefix: other}
consumers: {archive: {enabled: false}}
`)
	status, text := p.post(killBody("early"))
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"spooled"`)

	external, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	external.Start()
	defer external.WaitForShutdown()
	defer external.Shutdown()
	require.True(t, external.ReadyForConnections(patience))
	require.Eventually(t, func() bool {
		_, text := p.post(documented)
		return !strings.Contains(text, "spooled")
	}, patience, 100*time.Millisecond, p.logs)
	require.Contains(t, p.logs.String(), "OTHER_EVENTS")
	nc, err := nats.Connect(external.ClientURL(), nats.Timeout(patience))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stream, err := js.Stream(context.Background(), "OTHER_EVENTS")
		return err == nil && stream.CachedInfo().State.Msgs == 2
	}, patience, 10*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
}

// An external stream that does not keep what it acknowledges is not used, however
// willingly it answers: events wait in the journal.
func TestUnfitExternalStreamIsNotUsed(t *testing.T) {
	t.Parallel()
	external, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	external.Start()
	defer external.WaitForShutdown()
	defer external.Shutdown()
	require.True(t, external.ReadyForConnections(patience))
	nc, err := nats.Connect(external.ClientURL(), nats.Timeout(patience))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{
		Name: "HOOKSPAN_EVENTS", Subjects: []string{"hookspan.events.>"}, Storage: jetstream.MemoryStorage,
	})
	require.NoError(t, err)
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "`+external.ClientURL()+`"}
consumers: {archive: {enabled: false}}
`)
	require.Eventually(t, func() bool { return strings.Contains(p.logs.String(), "not in files") }, patience, 10*time.Millisecond)
	status, text := p.post(documented)
	require.Equal(t, 200, status)
	require.Contains(t, text, `"result":"spooled"`)
	stream, err := js.Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.Zero(t, stream.CachedInfo().State.Msgs)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Contains(t, p.logs.String(), "the journal still holds events")
}

// A consumer that cannot go on does not take the ingress with it.
func TestIngressOutlivesAConsumer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const config = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers: `
	p := serve(t, dir, config+"{archive: {enabled: false}}\n")
	_, err := p.natsEnv().CreateConsumer(context.Background(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "archive", AckPolicy: jetstream.AckNonePolicy})
	require.NoError(t, err)
	require.Equal(t, 0, p.stop())

	p = serve(t, dir, config+"{archive: {kind: archive}}\n")
	p.logged("consumer archive: its durable is not what it is to be")
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestSend(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	code, stdout, stderr := runVerb("send", "--url", p.url(), "--id", "pred_7", "--model", "a/b", "--status", "failed", "--error", "no, thanks", "--output", "https://x/1,2")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "200 OK")
	require.Contains(t, stdout, `"result":"stored","id":"pred_7/failed/`)
	events := p.events()
	require.Len(t, events, 1)
	got, err := bridge.ParsePrediction(events[0].Data())
	require.NoError(t, err)
	require.Equal(t, "no, thanks", got.Error)
	require.Equal(t, "https://x/1,2", got.Outputs[0].URL)
	require.WithinDuration(t, time.Now(), got.CompletedAt, time.Minute)

	body := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(body, []byte("{} "), 0o600))
	code, stdout, _ = runVerb("--json", "send", "--url", p.url(), "--file", body)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"status":200`)
	require.Contains(t, stdout, `{"result":"quarantined","cause":"no_id"}`)

	code, _, stderr = runVerb("send", "--url", p.url(), "--secret", secret)
	require.Equal(t, 2, code)
	require.NotContains(t, stderr, secret)
	code, _, stderr = runVerb("send", "--url", p.url(), "--secret", "env:HOOKSPAN_TEST_UNSET")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "not set")
	code, _, stderr = runVerb("send", "--url", "http://127.0.0.1:1/webhooks/get3w/path-token")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "127.0.0.1:1")
	require.NotContains(t, stderr, "path-token")
}

func TestNATSEnv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	out, err := command(t, dir, "nats-env").Output()
	require.NoError(t, err)
	require.Regexp(t, `^export NATS_URL='nats://127\.0\.0\.1:\d+'\nexport NATS_USER='app'\nexport NATS_PASSWORD='[A-Z2-7]{26}'\n$`, string(out))
	require.Equal(t, 0, p.stop())
	for config, want := range map[string]string{
		"data_dir: hookspan-data":      "no bridge is running",
		"data_dir: never":              "no bridge is running",
		`nats: {url: "nats://x:4222"}`: "external NATS",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "other.yaml"), []byte(config), 0o600))
		cmd := command(t, dir, "nats-env", "--config", "other.yaml")
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
	}
}

func TestVersionAndUsage(t *testing.T) {
	t.Parallel()
	code, stdout, _ := runVerb("version")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "nats-server "+server.VERSION)
	code, stdout, _ = runVerb("--json", "version")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"nats_server":"`+server.VERSION+`"`)
	for _, args := range [][]string{{"bogus"}, {"serve", "--bogus"}, {"send", "--secret", "x"}} {
		code, _, stderr := runVerb(args...)
		require.Equal(t, 2, code, args)
		require.Contains(t, stderr, "hookspan --help")
	}
	code, stdout, _ = runVerb("--help")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "config check")
}
