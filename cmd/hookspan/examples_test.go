package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/needs"
)

const exampleConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  pictures: {kind: pull, filter: {status: completed}}
`

// pictures is where the outputs of predictions lie: it answers each path with its
// statuses in turn, and with the last one from then on.
type pictures struct {
	*httptest.Server

	mu    sync.Mutex
	plan  map[string][]int
	asked map[string][]string // by path: the key of each request
}

func servePictures(t *testing.T, plan map[string][]int) *pictures {
	t.Helper()
	p := &pictures{plan: plan, asked: map[string][]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		statuses := p.plan[r.URL.Path]
		n := len(p.asked[r.URL.Path])
		p.asked[r.URL.Path] = append(p.asked[r.URL.Path], r.Header.Get("Idempotency-Key"))
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(statuses[min(n, len(statuses)-1)])
	}))
	t.Cleanup(p.Close)
	return p
}

// keys returns what each path was asked with.
func (p *pictures) keys(path string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked[path])
}

// example starts a program in dir with what nats-env prints for these flags, and ends
// it with the test. It returns what the program writes.
func (p *program) example(dir string, flags []string, argv ...string) *safeBuffer {
	p.t.Helper()
	out, err := command(p.t, p.dir, append([]string{"--json", "nats-env", "--config", "hookspan.yaml"}, flags...)...).Output()
	require.NoError(p.t, err)
	var vars map[string]string
	require.NoError(p.t, json.Unmarshal(out, &vars))
	said := &safeBuffer{}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, said, said, os.Environ()
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	require.NoError(p.t, cmd.Start())
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return said
}

// The example that other teams begin with does all that it says: one event is done, one is tried
// again, one waits twice and comes back, one becomes a dead letter and is redriven.
func TestNodeExample(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "node", "npm")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "node"))))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	text, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs Node.js and npm (apt-get install nodejs npm): %s", text)

	outputs := servePictures(t, map[string][]int{"/good": {200}, "/busy": {503, 200}, "/limited": {429, 429, 200}, "/gone": {404, 200}})
	p := serveHere(t, exampleConfig)
	js := p.as("pictures")
	var durable jetstream.Consumer
	require.Eventually(t, func() bool { // it is made beside what is ready
		durable, err = js.Consumer(ctx, "HOOKSPAN_EVENTS", "pictures")
		return err == nil
	}, patience, 5*time.Millisecond)
	said := p.example(dir, []string{"--consumer", "pictures"}, "node", "consumer.mjs", "pictures")
	for _, name := range []string{"good", "busy", "limited", "gone"} {
		status, answer := p.post(`{"id":"` + name + `","status":"completed","outputs":["` + outputs.URL + "/" + name + `"]}`)
		require.Equal(t, 200, status, answer)
	}
	settled := func() bool {
		s := p.state("pictures")
		return s.Pending == 0 && s.Unsettled == 0 && s.Later == 0
	}
	require.Eventually(t, func() bool {
		return len(outputs.keys("/limited")) == 3 && len(outputs.keys("/busy")) == 2 && p.state("pictures").Dead == 1 && settled()
	}, patience, 20*time.Millisecond, "%s %s", said, p.logs)

	var letters adminapi.DeadLetterList
	p.verb(&letters, "dead", "list", "--consumer", "pictures")
	require.Len(t, letters.Letters, 1)
	require.Equal(t, "gone", letters.Letters[0].Prediction)
	require.Equal(t, bridge.DeadTerminated, letters.Letters[0].Cause)
	require.Equal(t, "the output is gone", letters.Letters[0].Error)
	require.Equal(t, []string{"limited", "limited"}, p.comeBack("pictures"))

	require.Contains(t, p.says("dead", "redrive", "--consumer", "pictures", "--yes"), "1 given again")
	require.Eventually(t, func() bool { return len(outputs.keys("/gone")) == 2 && settled() }, patience, 20*time.Millisecond, "%s %s", said, p.logs)
	require.Equal(t, []string{"limited", "limited", "gone"}, p.comeBack("pictures"))
	require.Zero(t, p.state("pictures").Dead)

	// Four events and three copies, of which the durable kept one for its second attempt.
	info, err := durable.Info(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 8, info.Delivered.Consumer)
	require.EqualValues(t, 7, info.AckFloor.Stream)
	for name, times := range map[string]int{"/good": 1, "/busy": 2, "/limited": 3, "/gone": 2} {
		keys := outputs.keys(name)
		require.Len(t, keys, times, name)
		require.Regexp(t, "^pictures:/sources/get3w:"+name[1:]+"/completed/[0-9a-f]{16}$", keys[0])
		require.Len(t, slices.Compact(keys), 1, "attempts on one event have one key")
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"), said.String())
	require.Contains(t, said.String(), "the output is answered 503")
	require.Equal(t, 0, p.stop(), p.logs)
}

// The program in docs/write-a-consumer.md is complete, and does what the text beside it says.
func TestDocumentedProgram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "write-a-consumer.md"))
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(text), "```go\n")
	require.True(t, ok)
	source, _, ok := strings.Cut(after, "```\n")
	require.True(t, ok)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	formatted, err := exec.Command("gofmt", "-l", dir).CombinedOutput()
	require.NoError(t, err, "%s", formatted)
	require.Empty(t, string(formatted))
	built, err := exec.Command("go", "build", "-o", filepath.Join(dir, "billing"), filepath.Join(dir, "main.go")).CombinedOutput()
	require.NoError(t, err, "%s", built)

	p := serveHere(t, smallConfig)
	status, answer := p.post(documented)
	require.Equal(t, 200, status, answer)
	said := p.example(dir, nil, filepath.Join(dir, "billing"))
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "\n") }, patience, 10*time.Millisecond, "%s %s", said, p.logs)
	require.Regexp(t, "^pred_abc123 completed billing:get3w:pred_abc123/completed/[0-9a-f]{16}\n$", said.String())
	require.Eventually(t, func() bool { return p.state("billing").Unsettled == 0 }, patience, 10*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}

// The example in Go handles what comes, and its keys are those of the others.
func TestGoExample(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "example")
	built, err := exec.Command("go", "build", "-o", program, filepath.Join("..", "..", "examples", "go")).CombinedOutput()
	require.NoError(t, err, "%s", built)
	p := serveHere(t, exampleConfig)
	status, answer := p.post(documented)
	require.Equal(t, 200, status, answer)
	js := p.as("pictures")
	require.Eventually(t, func() bool { // it is made beside what is ready
		_, err = js.Consumer(t.Context(), "HOOKSPAN_EVENTS", "pictures")
		return err == nil
	}, patience, 5*time.Millisecond)
	said := p.example(t.TempDir(), []string{"--consumer", "pictures"}, program, "pictures")
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "\n") }, patience, 10*time.Millisecond, "%s %s", said, p.logs)
	require.Regexp(t, "^pictures:/sources/get3w:pred_abc123/completed/[0-9a-f]{16} [0-9]+ bytes\n$", said.String())
	require.Eventually(t, func() bool { s := p.state("pictures"); return s.Pending == 0 && s.Unsettled == 0 }, patience, 10*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}

// comeBack returns the predictions of the copies for the consumer alone, in order.
func (p *program) comeBack(consumer string) []string {
	p.t.Helper()
	var out []string
	for _, m := range p.events() {
		if strings.HasPrefix(m.Subject(), "hookspan.again."+consumer+".") {
			out = append(out, m.Headers().Get("ce-subject"))
		}
	}
	return out
}

// A newcomer can read an example in a minute.
func TestExamplesAreShort(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"node/consumer.mjs", "python/consumer.py", "shell/consumer.sh"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(name)))
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(text), "\n"), 25, name)
	}
}
