package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// spooledFolder is what a bridge leaves behind that had accepted three webhooks
// while its NATS was away.
func spooledFolder(t *testing.T, config string) (dir string) {
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

func TestSpoolVerbs(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := spooledFolder(t, externalConfig(x))

	code, stdout, stderr := verb(t, dir, "--json", "spool", "show")
	require.Equal(t, 0, code, stderr)
	var state struct {
		Messages uint64    `json:"messages"`
		Oldest   time.Time `json:"oldest"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &state))
	require.EqualValues(t, 3, state.Messages)
	require.WithinDuration(t, time.Now(), state.Oldest, time.Minute)

	code, stdout, stderr = verb(t, dir, "spool", "export")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "3 messages exported")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
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
	code, stdout, stderr = verb(t, dir, "spool", "drain")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "3 messages moved to NATS, 0 left that it does not take\n", stdout)
	st, err := x.JetStream().Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 3, st.CachedInfo().State.Msgs)

	code, stdout, _ = verb(t, dir, "spool", "show")
	require.Equal(t, 0, code)
	require.True(t, strings.HasPrefix(stdout, "0 messages, 0 B of 2.0 GiB"), stdout)
}

func TestSpoolVerbsNeedAFolderOfTheirOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	code, _, stderr := verb(t, dir, "spool", "show")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "a running bridge drains its spool by itself")
	require.Equal(t, 0, p.stop())
	code, _, stderr = verb(t, dir, "spool", "show")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "there is no spool")
}

// A bridge that goes back to the embedded NATS keeps the events that were spooled for the
// external one.
func TestEmbeddedNATSGetsALeftSpool(t *testing.T) {
	t.Parallel()
	dir := spooledFolder(t, externalConfig(natstest.NewExternal(t, nil)))
	p := serve(t, dir, smallConfig)
	require.Eventually(t, func() bool { return len(p.events()) == 3 }, patience, 50*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
}
