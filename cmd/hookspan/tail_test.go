package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// tailing runs a verb until stop is called, which returns its exit code as after Ctrl-C.
func tailing(t *testing.T, args ...string) (stdout, stderr *safeBuffer, stop func() int) {
	t.Helper()
	return tailingWith(t, nil, args...)
}

// tailingWith runs it on a terminal where lines are typed, unless typed is nil.
func tailingWith(t *testing.T, typed io.Reader, args ...string) (stdout, stderr *safeBuffer, stop func() int) {
	t.Helper()
	stdout, stderr = &safeBuffer{}, &safeBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	e := testEnv()
	e.ctx, e.stdout, e.stderr = ctx, stdout, stderr
	if typed != nil {
		e.stdin, e.terminal = typed, true
	}
	code := make(chan int, 1)
	go func() { code <- run(args, e) }()
	t.Cleanup(cancel)
	return stdout, stderr, func() int { cancel(); return <-code }
}

// Tail prints a line for each event, escaped, and goes on with a bridge that was restarted.
func TestTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	admin := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	yaml := strings.Replace(smallConfig, `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "`+admin+`"}`, 1)
	p := serve(t, dir, yaml)
	people, complaints, stop := tailing(t, "tail", "--api", "http://"+admin)
	programs, _, stopPrograms := tailing(t, "--json", "tail", "--api", "http://"+admin, "--status", "failed")
	require.Eventually(t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, "\nhookspan_live_clients 2\n")
	}, patience, 10*time.Millisecond, p.logs)
	p.post(`{"id":"a\u001b[31m","status":"completed","model":"google/veo"}`)
	p.post(`{"id":"b","status":"failed"}`)
	prints := func(out *safeBuffer, lines int) []string {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") >= lines }, patience, 10*time.Millisecond, complaints)
		return strings.Split(out.String(), "\n")
	}
	lines := prints(people, 2)
	require.Regexp(t, `^1  20\S+Z  get3w  completed  a\\u001b\[31m  google/veo$`, lines[0])
	require.Regexp(t, `^2  20\S+Z  get3w  failed  b  -$`, lines[1])
	require.Equal(t, 0, p.stop(), p.logs)

	p = serve(t, dir, yaml)
	p.post(`{"id":"c","status":"failed"}`)
	require.Contains(t, prints(people, 3)[2], "  failed  c  ")
	var row adminapi.Event
	require.NoError(t, json.Unmarshal([]byte(prints(programs, 2)[1]), &row))
	require.Equal(t, "c", row.Prediction)
	require.EqualValues(t, 3, row.Seq)
	require.Equal(t, 0, stop())
	require.Equal(t, 0, stopPrograms())
	require.Regexp(t, `^hookspan: the bridge tells nothing, connecting again: .*\nhookspan: the bridge tells again\n$`, complaints.String())

	for _, args := range [][]string{{"--source", "nobody"}, {"--consumer", "nobody"}, {"--event", "x"}, {"--status", "a.b"}} {
		code, _, stderr := runVerb(append([]string{"tail", "--api", "http://" + admin}, args...)...)
		require.Equal(t, 1, code, args)
		require.NotEmpty(t, stderr)
	}
	require.Equal(t, 0, p.stop(), p.logs)
	code, _, stderr := runVerb("tail", "--api", "http://"+admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "is it running")
}

// What is left out is said beside the events.
func TestTailSaysWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	for data, words := range map[string]string{
		`{"left_out":3,"after":7,"until":10}`:                  "hookspan events list",
		`{"left_out":3,"after":7,"until":10,"cause":"behind"}`: "up to 3 events between 7 and 10",
		`{"left_out":3,"after":7,"until":10,"cause":"gone"}`:   "have left the stream",
		`{"cause":"anew"}`: "made anew",
	} {
		stdout, stderr := &safeBuffer{}, &safeBuffer{}
		require.NoError(t, printLive(&env{stdout: stdout, stderr: stderr}, client.Live{Name: adminapi.LiveGap, Data: json.RawMessage(data)}))
		require.Empty(t, stdout.String())
		require.Contains(t, stderr.String(), words)
	}
	require.Error(t, printLive(&env{}, client.Live{Name: adminapi.LiveEvent, Data: json.RawMessage("{")}))
	require.NoError(t, printLive(&env{}, client.Live{Name: "of a later version", Data: json.RawMessage("{")}))
}
