package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// verbIn runs a verb in this process, in a folder and with variables of its own. A test that
// calls it cannot be parallel.
func verbIn(t *testing.T, dir string, variables []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Run(strings.Join(args, " "), func(t *testing.T) {
		t.Chdir(dir)
		for _, v := range variables {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
		}
		code, stdout, stderr = runVerb(args...)
	})
	return code, stdout, stderr
}

// verbOfAProcess runs the program in a folder, with variables beside those of the tests.
func verbOfAProcess(t *testing.T, dir string, variables []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, dir, args...)
	cmd.Env = append(cmd.Env, variables...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var failed *exec.ExitError
		require.ErrorAs(t, err, &failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// answer runs a verb that reads, on a terminal where the line is typed, in the folder dir
// unless that is empty. Tests that name a folder cannot be parallel.
func answer(t *testing.T, dir, line string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if dir != "" {
		t.Chdir(dir)
	}
	var out, errOut bytes.Buffer
	e := testEnv()
	e.stdin, e.stdout, e.stderr, e.terminal = strings.NewReader(line), &out, &errOut, true
	code = run(args, e)
	return code, out.String(), errOut.String()
}

// interrupt runs a verb on a terminal where Ctrl-C is pressed at the question, which holds
// the text. The folder is as that of answer.
func interrupt(t *testing.T, dir, question string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if dir != "" {
		t.Chdir(dir)
	}
	silent, typing := io.Pipe() // nobody types a line
	t.Cleanup(func() { require.NoError(t, typing.Close()) })
	var out bytes.Buffer
	var errOut safeBuffer
	e := testEnv()
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	e.ctx, e.stdin, e.stdout, e.stderr, e.terminal = ctx, silent, &out, &errOut, true
	done := make(chan int, 1)
	go func() { done <- run(args, e) }()
	require.Eventually(t, func() bool { return strings.Contains(errOut.String(), question) }, patience, time.Millisecond)
	cancel()
	select {
	case code = <-done:
	case <-time.After(patience):
		t.Fatal("the interrupt does not end it: " + errOut.String())
	}
	return code, out.String(), errOut.String()
}

// Several bridges run on one host. Whatever says which one is meant, every verb that asks a
// bridge asks that one, and nats-env prints its address.
func TestVerbsActOnTheBridgeThatIsMeant(t *testing.T) {
	first, second := serve(t, t.TempDir(), smallConfig), serve(t, t.TempDir(), smallConfig)
	dotted := serve(t, t.TempDir(), smallConfig+"data_dir: ./hookspan-data\n")
	fixed := serve(t, t.TempDir(), smallConfig+"data_dir: "+filepath.Join(t.TempDir(), "data")+"\n")
	for id, p := range map[string]*program{"first": first, "second": second, "dotted": dotted, "fixed": fixed} {
		status, text := p.post(`{"id":"` + id + `","status":"failed"}`)
		require.Equal(t, 200, status, text)
	}
	config := func(p *program) string { return filepath.Join(p.dir, "hookspan.yaml") }
	link := filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.Symlink(config(second), link))
	withFile := t.TempDir()
	put(t, withFile, "mine.yml", "data_dir: "+filepath.Join(second.dir, "hookspan-data")+"\n")
	put(t, withFile, "other.yaml", "services: {a: {image: b}}\n")
	put(t, withFile, "broken.yaml", "a: [\n")
	nowhere := t.TempDir()
	for name, c := range map[string]struct {
		dir       string
		variables []string
		args      []string
		meant     *program
		id        string
	}{
		"its folder":                               {dir: second.dir, meant: second, id: "second"},
		"its data folder":                          {dir: filepath.Join(second.dir, "hookspan-data"), meant: second, id: "second"},
		"a configuration in the folder":            {dir: withFile, meant: second, id: "second"},
		"--config":                                 {dir: nowhere, args: []string{"--config", config(fixed)}, meant: fixed, id: "fixed"},
		"--config in the folder of another":        {dir: first.dir, args: []string{"--config", config(fixed)}, meant: fixed, id: "fixed"},
		"--config without data_dir":                {dir: first.dir, args: []string{"--config", config(second)}, meant: second, id: "second"},
		"--config without data_dir from nowhere":   {dir: nowhere, args: []string{"--config", config(second)}, meant: second, id: "second"},
		"--config without data_dir in its folder":  {dir: second.dir, args: []string{"--config", "hookspan.yaml"}, meant: second, id: "second"},
		"--config by a link in its folder":         {dir: second.dir, args: []string{"--config", link}, meant: second, id: "second"},
		"--config with a relative data_dir":        {dir: first.dir, args: []string{"--config", config(dotted)}, meant: dotted, id: "dotted"},
		"HOOKSPAN_CONFIG":                          {dir: first.dir, variables: []string{"HOOKSPAN_CONFIG=" + config(fixed)}, meant: fixed, id: "fixed"},
		"HOOKSPAN_CONFIG without data_dir":         {dir: first.dir, variables: []string{"HOOKSPAN_CONFIG=" + config(second)}, meant: second, id: "second"},
		"HOOKSPAN_CONFIG with a relative data_dir": {dir: first.dir, variables: []string{"HOOKSPAN_CONFIG=" + config(dotted)}, meant: dotted, id: "dotted"},
		"HOOKSPAN_API":                             {dir: first.dir, variables: []string{"HOOKSPAN_API=" + second.ready.Admin}, meant: second, id: "second"},
		"--api":                                    {dir: first.dir, args: []string{"--api", second.ready.Admin}, meant: second, id: "second"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := verbIn(t, c.dir, c.variables, append([]string{"--json", "events", "list"}, c.args...)...)
			require.Equal(t, 0, code, stderr)
			var list adminapi.EventList
			require.NoError(t, json.Unmarshal([]byte(stdout), &list))
			require.Len(t, list.Events, 1)
			require.Equal(t, c.id, list.Events[0].Prediction)
			if strings.Contains(strings.ToLower(name), "api") {
				return // nats-env reads the folder
			}
			code, stdout, stderr = verbIn(t, c.dir, c.variables, append([]string{"nats-env"}, c.args...)...)
			require.Equal(t, 0, code, stderr)
			require.Contains(t, stdout, "NATS_URL='"+c.meant.ready.NATS+"'")
		})
	}
}

// Of a bridge that was killed, whose lock file stays as it is, every verb says that it does not
// run.
func TestVerbsOfABridgeThatIsGone(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "hookspan-data")
	crashed(t, data)
	for _, verb := range []string{
		"events list", "events show 1", "dead list", "dead show 1", "quarantine list", "consumers list", "consumers pause x", "predictions list",
		"predictions show x", "predictions await x", "predictions watch x", "predictions poll x", "view status", "view rebuild", "dead drop --consumer x --yes", "consumers remove x --yes",
		"events replay --consumer x --yes", "quarantine reverify", "consumers seek x --new --yes", "nats-env",
	} {
		code, stdout, stderr := verbIn(t, dir, nil, strings.Fields(verb)...)
		require.Equal(t, 1, code, verb)
		require.Empty(t, stdout, verb)
		require.Contains(t, stderr, "no bridge is running on "+data, verb)
		if verb != "nats-env" {
			require.Contains(t, stderr, "the bridge of this folder does not run", verb)
		}
	}
}

// The file that --config names is that of another bridge than the one which runs where the
// file would have it: nothing is done to that one, and the error says how to go on.
func TestConfigOfAnotherBridge(t *testing.T) {
	p := serve(t, t.TempDir(), smallConfig)
	p.says("consumers", "add", "mine")
	elsewhere := t.TempDir()
	deep := filepath.Join(p.dir, "b")
	require.NoError(t, os.Mkdir(deep, 0o750))
	put(t, deep, "absent.yaml", "log: {level: info}\n")
	put(t, deep, "relative.yaml", "data_dir: ./hookspan-data\n")
	put(t, deep, "absolute.yaml", "data_dir: "+filepath.Join(p.dir, "hookspan-data")+"\n")
	data := filepath.Join(p.dir, "hookspan-data")
	for _, file := range []string{"b/absent.yaml", "b/relative.yaml", "b/absolute.yaml"} {
		for _, verb := range []string{"consumers remove mine --yes", "events list", "nats-env"} {
			for _, by := range []string{"flag", "variable"} {
				args, variables := strings.Fields(verb), []string(nil)
				if by == "flag" {
					args = append(args, "--config", file)
				} else {
					variables = []string{"HOOKSPAN_CONFIG=" + file}
				}
				code, stdout, stderr := verbIn(t, p.dir, variables, args...)
				require.Equal(t, 1, code, "%s with %s: %s", verb, file, stdout)
				require.Empty(t, stdout)
				require.Contains(t, stderr, "the bridge on "+data+" runs with "+filepath.Join(p.dir, "hookspan.yaml")+", and --config names "+filepath.Join(p.dir, file))
				require.Contains(t, stderr, "--api")
			}
		}
	}
	require.Contains(t, p.says("consumers", "list"), "mine")

	// The working folder of a bridge is none that its file tells, as under systemd.
	etc, lib := t.TempDir(), t.TempDir()
	put(t, etc, "hookspan.yaml", smallConfig)
	file := filepath.Join(etc, "hookspan.yaml")
	far := start(t, lib, command(t, lib, "--json", "serve", "--config", file))
	for _, verb := range []string{"events list", "nats-env"} {
		code, _, stderr := verbIn(t, elsewhere, nil, append(strings.Fields(verb), "--config", file)...)
		require.Equal(t, 1, code)
		for _, want := range []string{"the bridge of " + file + " is not found", "run the verb there", "make data_dir absolute", "--api"} {
			require.Contains(t, stderr, want)
		}
		require.NotContains(t, stderr, "does not run")
		code, _, stderr = verbIn(t, lib, nil, append(strings.Fields(verb), "--config", file)...)
		require.Equal(t, 0, code, stderr)
	}
	require.Equal(t, 0, far.stop(), far.logs)
}

// A folder without a bridge does not count beside one whose bridge runs, and a file with the
// bridge's own name and without data_dir has the default one.
func TestBridgeOfTheFolder(t *testing.T) {
	p := serve(t, t.TempDir(), smallConfig)
	p.post(`{"id":"a","status":"failed"}`)
	dir := t.TempDir()
	require.NoError(t, begun(t, filepath.Join(dir, "hookspan-data")).Stop()) // as a bridge leaves it that is gone
	put(t, dir, "hookspan.yaml", "data_dir: "+filepath.Join(p.dir, "hookspan-data")+"\n")
	for verb, want := range map[string]string{"events list": "failed", "nats-env": p.ready.NATS} {
		code, stdout, stderr := verbIn(t, dir, nil, strings.Fields(verb)...)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, want)
	}
	p.kill() // now none of the two runs
	code, _, stderr := verbIn(t, dir, nil, "events", "list")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "several bridges")

	for _, name := range ownFiles {
		dir := t.TempDir()
		put(t, dir, name, smallConfig)
		for _, verb := range []string{"events list", "nats-env"} {
			code, _, stderr := verbIn(t, dir, nil, strings.Fields(verb)...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, "no bridge is running on "+filepath.Join(dir, "hookspan-data"))
			require.NotContains(t, stderr, "8081")
		}
	}
}

// A folder with several bridges has its verbs ask which, and without a terminal fail.
func TestSeveralBridgesToChooseFrom(t *testing.T) {
	first, second := serve(t, t.TempDir(), smallConfig), serve(t, t.TempDir(), smallConfig)
	second.post(`{"id":"second","status":"failed"}`)
	dir := t.TempDir()
	for name, p := range map[string]*program{"a": first, "b": second} {
		put(t, dir, name+".yaml", "data_dir: "+filepath.Join(p.dir, "hookspan-data")+"\n")
	}
	for _, verb := range []string{"events list", "nats-env"} {
		code, stdout, stderr := verbIn(t, dir, nil, strings.Fields(verb)...)
		require.Equal(t, 2, code, verb)
		require.Empty(t, stdout)
		for _, want := range []string{"say which with --config or --api", "a.yaml", "b.yaml", first.ready.Admin, second.ready.Admin} {
			require.Contains(t, stderr, want)
		}
	}
	code, stdout, stderr := answer(t, dir, "2\n", "events", "list")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "second")
	require.Contains(t, stderr, "Which one?")
	code, _, stderr = answer(t, dir, "3\n", "events", "list")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "nothing was done")
	code, stdout, stderr = interrupt(t, dir, "Which one?", "events", "list")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "\nhookspan: interrupted: nothing was done\n")
}

// A file of the bridge's own name that cannot be read may name another bridge than the
// default one, so nothing is asked.
func TestConfigurationInTheFolderThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", "data_dir: [\n")
	code, _, stderr := verbIn(t, dir, nil, "events", "list")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "hookspan.yaml:1")
	put(t, dir, "hookspan.yaml", "log: {level: debug}\n")
	code, _, stderr = verbIn(t, dir, nil, "events", "list", "--api", "http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "127.0.0.1:1")
}

// A bridge that has begun and does not serve yet is waited for. Nothing of its
// predecessor, whose lock file it has, is printed.
func TestStartIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "hookspan-data")
	crashed(t, data)
	a := begun(t, data)
	defer func() { require.NoError(t, a.Stop()) }()
	t.Chdir(dir)
	var out bytes.Buffer
	e := testEnv()
	waits := waiting{Context: e.ctx, polled: make(chan struct{}, 1)}
	e.ctx, e.stdout = waits, &out
	done := make(chan int, 1)
	go func() { done <- run([]string{"nats-env"}, e) }()
	select {
	case <-done:
		t.Fatal("it did not wait: " + out.String())
	case <-waits.polled:
	}
	require.NoError(t, a.Start(t.Context()))
	require.Equal(t, 0, <-done)
	require.Contains(t, out.String(), "export NATS_URL='"+a.Ready().NATS+"'\n")
}

// waiting is a context that tells when somebody waits for it.
type waiting struct {
	context.Context

	polled chan struct{}
}

func (w waiting) Done() <-chan struct{} {
	select {
	case w.polled <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

// crashed leaves a data folder as a bridge that was killed leaves it.
func crashed(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, begun(t, dir).Stop())
	left, err := json.Marshal(app.Holder{PID: os.Getpid(), Ready: true, NATSURL: "nats://127.0.0.1:1", AdminURL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), left, 0o600))
}

// begun is a bridge that has begun on a data folder and does not serve yet.
func begun(t *testing.T, dir string) *app.App {
	t.Helper()
	cfg, err := config.Load("")
	require.NoError(t, err)
	cfg.DataDir, cfg.Roles = dir, []string{config.RoleConsumers}
	listen := "127.0.0.1:0"
	cfg.NATS.Listen = &listen
	a, err := app.New(cfg, app.Options{Log: io.Discard})
	require.NoError(t, err)
	return a
}
