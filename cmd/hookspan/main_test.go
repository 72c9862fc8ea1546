package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/activation"
	"github.com/hookspan/hookspan/internal/sdnotify"
	"github.com/hookspan/hookspan/internal/signing"
)

// asHookspan makes the test binary be the program, so that tests can start it,
// kill it, and see its exit code.
const asHookspan = "HOOKSPAN_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if address := os.Getenv(asService); address != "" { //nolint:forbidigo // before main runs there is nobody to pass it
		serveAs(address, os.Args[1:])
	}
	if os.Getenv(asNATS) != "" { //nolint:forbidigo // before main runs there is nobody to pass it
		serveNATS(os.Args[1:])
	}
	if os.Getenv(asHookspan) != "" { //nolint:forbidigo // before main runs there is nobody to pass it
		main()
	}
	flag.Parse()
	// Tests wait more than they compute, so more of them run at once than there are
	// processors, unless -parallel says how many.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "10") // it is a number
	}
	for name, value := range map[string]string{"AWS_REGION": "", "AWS_CONFIG_FILE": os.DevNull} {
		_ = os.Setenv(name, value) // what the SDK reads must not be that of whoever runs the tests
	}
	os.Exit(m.Run())
}

const (
	secret   = "a-secret-that-must-not-be-seen"
	patience = 2 * time.Minute // nothing that works takes as long, however busy the machine is
)

// smallConfig listens on free ports and needs little disk.
const smallConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers: {archive: {enabled: false}}
`

// program is a running bridge: a process of its own, or an App in this one.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	app   *app.App
	dir   string
	ready app.Ready
	logs  *safeBuffer
	done  chan error
}

// safeBuffer is what a process writes while a test reads.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// command is the program with its arguments, in the folder dir.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asHookspan+"=1", "GET3W_WEBHOOK_SECRET="+secret)
	return cmd
}

// serve starts the program on the folder with the configuration and returns when it is ready.
func serve(t *testing.T, dir, text string) *program {
	t.Helper()
	put(t, dir, "hookspan.yaml", text)
	return start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
}

// serveHere starts a bridge in this process, on a folder of its own. It is for tests that are
// not about the process: no signal, no crash, no relative path in the configuration.
func serveHere(t *testing.T, text string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), logs: &safeBuffer{}}
	put(t, p.dir, "hookspan.yaml", "data_dir: "+filepath.Join(p.dir, "hookspan-data")+"\n"+text)
	file := filepath.Join(p.dir, "hookspan.yaml")
	cfg, err := config.Load(file)
	require.NoError(t, err)
	p.app, err = app.New(cfg, app.Options{File: file, Version: version(), Getenv: testEnv().getenv, Log: p.logs})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.app.Stop() }) // a test that wants to know calls stop
	require.NoError(t, p.app.Start(t.Context()), p.logs)
	p.ready = p.app.Ready()
	return p
}

func start(t *testing.T, dir string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, dir: dir, logs: &safeBuffer{}, done: make(chan error, 1)}
	cmd.Stderr = p.logs
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(p.kill)
	line := make(chan []byte, 1)
	go func() {
		in := bufio.NewReader(stdout)
		text, _ := in.ReadBytes('\n')
		line <- text
		_, _ = io.Copy(io.Discard, in)
		p.done <- cmd.Wait()
	}()
	select {
	case text := <-line:
		require.NoError(t, json.Unmarshal(text, &p.ready), "%s\n%s", text, p.logs)
	case <-time.After(patience):
		t.Fatal("the bridge is not ready: " + p.logs.String())
	}
	return p
}

// kill ends the program as a crash does.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.wait()
}

// stop ends it as an operator does and returns its exit code.
func (p *program) stop() int {
	p.t.Helper()
	if p.app != nil {
		require.NoError(p.t, p.app.Stop(), p.logs)
		return exitDone
	}
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.wait()
}

func (p *program) wait() int {
	select {
	case err := <-p.done:
		p.done <- err
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatal("the bridge does not end: " + p.logs.String())
		return -1
	}
}

func (p *program) url() string { return p.ready.Webhooks["get3w"] }

// post sends a signed body, and returns the answer.
func (p *program) post(body string) (status int, text string) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.url(), strings.NewReader(body))
	require.NoError(p.t, err)
	sign(p.t, req.Header, body)
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, string(answer)
}

func sign(t *testing.T, h http.Header, body string) {
	t.Helper()
	h.Set(signing.Header, signing.Sign([]byte(body), []byte(secret)))
}

// natsEnv connects as another team's program does, with what that verb prints.
func (p *program) natsEnv(args ...string) jetstream.JetStream {
	p.t.Helper()
	code, stdout, stderr := runVerb(append([]string{"--json", "nats-env", "--config", filepath.Join(p.dir, "hookspan.yaml")}, args...)...)
	require.Equal(p.t, 0, code, stderr)
	var vars map[string]string
	require.NoError(p.t, json.Unmarshal([]byte(stdout), &vars))
	nc, err := nats.Connect(vars["NATS_URL"], nats.UserInfo(vars["NATS_USER"], vars["NATS_PASSWORD"]), nats.Timeout(patience))
	require.NoError(p.t, err)
	p.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(p.t, err)
	return js
}

// events reads the whole stream of events, once all that was accepted is there.
func (p *program) events() []jetstream.Msg {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		code, stdout, _ := runVerb("--json", "journal", "show", "--config", filepath.Join(p.dir, "hookspan.yaml"))
		var journal struct{ Records int }
		return code != 0 || json.Unmarshal([]byte(stdout), &journal) == nil && journal.Records == 0 // code 1: there is none
	}, patience, 10*time.Millisecond, p.logs)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	js := p.natsEnv()
	stream, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(p.t, err)
	n := stream.CachedInfo().State.Msgs
	if n == 0 {
		return nil
	}
	c, err := js.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute,
	})
	require.NoError(p.t, err)
	it, err := c.Messages()
	require.NoError(p.t, err)
	defer it.Stop()
	var out []jetstream.Msg
	for range n {
		m, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(p.t, err)
		out = append(out, m)
	}
	return out
}

// runVerb runs a verb in this process.
func runVerb(args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	e := testEnv()
	e.stdout, e.stderr = &out, &errOut
	code = run(args, e)
	return code, out.String(), errOut.String()
}

// testEnv is a world without a terminal, which takes what a verb prints.
func testEnv() *env {
	getenv := func(name string) (string, bool) {
		if name == "GET3W_WEBHOOK_SECRET" {
			return secret, true
		}
		return "", false
	}
	return &env{
		ctx: context.Background(), getenv: getenv, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, program: "hookspan",
		hangups: func() <-chan os.Signal { return nil },
		sockets: func() (activation.Sockets, error) { return activation.Sockets{}, nil },
		manager: func() (*sdnotify.Manager, error) { return nil, nil },
	}
}
