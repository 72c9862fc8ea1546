package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// waitingFolder is what a bridge leaves behind that had accepted three webhooks
// while its NATS was away.
func waitingFolder(t *testing.T, config string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	p := serve(t, dir, config)
	for i := range 3 {
		status, text := p.post(killBody(fmt.Sprint("pred_", i)))
		require.Equal(t, 200, status, text)
		require.Contains(t, text, `"result":"spooled"`)
	}
	require.Equal(t, 0, p.stop(), p.logs)
	return dir
}

// verb runs a verb on the folder as a process, as an operator does.
func verb(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	cmd := command(t, dir, append(args, "--config", "hookspan.yaml")...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func externalConfig(x *natstest.External) string {
	return `
ingress: {listen: "127.0.0.1:0"}
nats: {url: "` + x.URL() + `"}
consumers: {archive: {enabled: false}}
`
}

func TestJournalVerbs(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := waitingFolder(t, externalConfig(x))

	code, stdout, stderr := verb(t, dir, "--json", "journal", "show")
	require.Equal(t, 0, code, stderr)
	var state struct {
		Records uint64    `json:"records"`
		Oldest  time.Time `json:"oldest"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &state))
	require.EqualValues(t, 3, state.Records)
	require.WithinDuration(t, time.Now(), state.Oldest, time.Minute)

	code, exported, stderr := verb(t, dir, "journal", "export")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "3 records exported")
	lines := strings.Split(strings.TrimSpace(exported), "\n")
	require.Len(t, lines, 3)
	for i, line := range lines {
		var m struct {
			Subject string `json:"subject"`
			Body    []byte `json:"body"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		require.Equal(t, killBody(fmt.Sprint("pred_", i)), string(m.Body))
		require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", m.Subject)
		require.NotContains(t, line, secret)
	}

	x.Start()
	code, stdout, stderr = verbOfAProcess(t, dir, nil, "journal", "drain") // by the folder's configuration
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "3 messages moved to NATS, 0 set aside that it does not take\n", stdout)
	requireEvents := func(n uint64) {
		t.Helper()
		st, err := x.JetStream().Stream(context.Background(), "HOOKSPAN_EVENTS")
		require.NoError(t, err)
		require.Equal(t, n, st.CachedInfo().State.Msgs)
	}
	requireEvents(3)

	code, stdout, _ = verb(t, dir, "journal", "show")
	require.Equal(t, 0, code)
	require.True(t, strings.HasPrefix(stdout, "0 records, 0 B of 2.0 GiB"), stdout)

	// The records of a host that is gone go on anywhere, and once.
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "hookspan.yaml"), []byte(externalConfig(x)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(other, "exported"), []byte(exported), 0o600))
	for range 2 {
		code, stdout, stderr = verb(t, other, "journal", "import", "exported")
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, "3 records imported")
	}
	code, _, stderr = verbOfAProcess(t, other, nil, "journal", "drain")
	require.Equal(t, 0, code, stderr)
	requireEvents(3)

	for text, problem := range map[string]string{
		"{":                            "unexpected EOF",
		`{"stream":"X"}`:               "is none of nats.prefix hookspan",
		`{"stream":"X","more":"else"}`: "unknown field",
		strings.Replace(lines[0], `"Nats-Msg-Id"`, `"x"`, 1): "no message id",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(other, "broken"), []byte(lines[0]+"\n"+text), 0o600))
		code, _, stderr = verb(t, other, "journal", "import", "broken")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, problem)
	}
}

// A running bridge is asked for its journal, and takes back what it had set aside.
func TestJournalOfARunningBridge(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = limit })
	dir := t.TempDir()
	p := serve(t, dir, externalConfig(x))
	status, text := p.post(strings.Replace(killBody("pred_large"), `"id"`, `"pad":"`+strings.Repeat("x", limit)+`","id"`, 1))
	require.Equal(t, 200, status, text)
	shown := func(want string, args ...string) func() bool {
		return func() bool {
			code, stdout, _ := verb(t, dir, append([]string{"journal", "show"}, args...)...)
			return code == 0 && strings.Contains(stdout, want)
		}
	}
	require.Eventually(t, shown("1 record, "), patience, 50*time.Millisecond)
	code, _, stderr := verb(t, dir, "journal", "drain")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "a running bridge forwards its journal by itself")
	x.Start()
	require.Eventually(t, shown("1 set aside"), patience, 50*time.Millisecond)
	require.Eventually(t, shown("get3w:pred_large/completed/", "--set-aside"), patience, 50*time.Millisecond)
	x.Stop()
	x.Change(func(o *server.Options) { o.MaxPayload = 1 << 20 })
	x.Start()
	p.becomes(200, "ready")
	code, stdout, stderr := verb(t, dir, "journal", "resend")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "on their way again: 1 message\n", stdout)
	require.Eventually(t, shown("0 records, "), patience, 50*time.Millisecond)
	st, err := x.JetStream().Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 1, st.CachedInfo().State.Msgs)
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestNoJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "roles: [admin]\n"+smallConfig)
	code, _, stderr := verb(t, dir, "journal", "show")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "This process has no journal")
	require.Equal(t, 0, p.stop())
	code, _, stderr = verb(t, dir, "journal", "show")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "there is no journal")
}

// A bridge that goes back to the embedded NATS keeps the events that waited for the external
// one, and so does one that takes no webhooks any more.
func TestEmbeddedNATSGetsALeftJournal(t *testing.T) {
	t.Parallel()
	for _, roles := range []string{"", "roles: [consumers, admin]\n"} {
		dir := waitingFolder(t, externalConfig(natstest.NewExternal(t, nil)))
		p := serve(t, dir, roles+smallConfig)
		require.Eventually(t, func() bool { return len(p.events()) == 3 }, patience, 50*time.Millisecond, p.logs)
		require.Equal(t, 0, p.stop(), p.logs)
	}
}

// Without a journal the stream's acknowledgement is all that counts, and this machine keeps
// nothing.
func TestAckOfTheStreamAlone(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := t.TempDir()
	p := serve(t, dir, "admin: {listen: \"127.0.0.1:0\"}\n"+strings.Replace(externalConfig(x), "ingress: {", "ingress: {ack: stream, ", 1))
	p.becomes(503, "nothing can be stored: there is no connection to the NATS at nats.url")
	status, text := p.post(killBody("pred_1"))
	require.Equal(t, 503, status, text)
	x.Start()
	p.becomes(200, "ready")
	status, text = p.post(killBody("pred_1"))
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"stored"`)
	status, text = p.post(killBody("pred_1"))
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"duplicate"`)
	require.NoDirExists(t, filepath.Join(dir, "hookspan-data", "journal"))
	require.Equal(t, 0, p.stop(), p.logs)
}
