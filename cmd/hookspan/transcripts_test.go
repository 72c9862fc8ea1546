package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/needs"
)

var writeDocs = flag.Bool("update", false, "write what the commands of the documentation print into it")

// Every command of these pages prints what is shown below it. -update writes anew what is not so.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "bash")
	for _, document := range []string{"first-steps.md", "cli.md", "why.md", "faults.md"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			if document == "faults.md" {
				needs.Root(t)
				needs.Programs(t, "mount", "umount", "mountpoint")
			}
			transcribe(t, filepath.Join("..", "..", "docs", document))
		})
	}
}

// A verb without a transcript, or without a heading of its own or of its group, is not documented.
func TestEveryVerbHasItsTranscript(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	require.NoError(t, err)
	parser, err := kong.New(&cli{})
	require.NoError(t, err)
	for _, verb := range parser.Model.Leaves(true) {
		words := []string{verb.Name}
		for at := verb.Parent; at.Type == kong.CommandNode; at = at.Parent {
			words = append([]string{at.Name}, words...)
		}
		require.Contains(t, string(text), "\n## "+words[0]+"\n")
		require.Regexp(t, `(?m)^(\$ |.*\| )?hookspan `+strings.Join(words, " ")+`\b`, string(text))
	}
}

const (
	console = "```console\n"
	// maxLines is what a reader takes in at once, with the commands.
	maxLines = 18
	// asService makes the test binary be the service that a page calls billing, at this address.
	asService = "HOOKSPAN_TEST_AS_SERVICE"
	// asNATS makes the test binary be nats-server.
	asNATS = "HOOKSPAN_TEST_AS_NATS"
)

var (
	// A page has blocks of what is typed and seen, and comments: what is done unseen with run, with
	// until again and again as long as it fails, and with get an address that is asked until its
	// answer has the words behind it. A block below a name is that file.
	typed = regexp.MustCompile("(?ms)^" + console + "(.*?)^```$|^<!-- (run|until|get) ([^\n]*) -->$|^`([\\w.-]+)`:\n\n```[a-z]+\n(.*?)^```$")
	// reads are commands that are typed again until they show what is expected.
	reads = regexp.MustCompile(`^hookspan (\S+ )?(list|show|groups|status|alarms|health|doctor)\b|--dry-run|^(cat|timeout) `)
	// ids are of one run. What a page shows and what the run has are one and the same.
	ids = regexp.MustCompile(`\b(?:[A-Z0-9]{24,26}|[a-z0-9]{26}|[0-9a-f]{16})\b`)
	// differs has what is different in each run, or on each machine.
	differs = []struct {
		what *regexp.Regexp
		to   string
	}{
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`), "TIME"},
		{ids, "ID"},
		{regexp.MustCompile(`\b[0-9a-f]{32,}\b|whsec_\S+`), "RANDOM"},
		{regexp.MustCompile(`\b(?:\d+(?:\.\d+)?(?:ns|µs|ms|s|m|h))+\b|\d+ ms\b`), "DURATION"},
		{regexp.MustCompile(`\b\d+(?:\.\d+)? [KMG]?i?B\b`), "SIZE"},
		{regexp.MustCompile(`\(devel\)|\bv?\d+\.\d+\.\d+[-+\w.]*`), "VERSION"},
		{regexp.MustCompile(`attempt \d+|\d+ in a row|seed \d+|folded to \d+|from event \d+ to \d+|(?m)^  \d+ in `), "COUNT"},
		{regexp.MustCompile(`\bsim_[a-z0-9]{8}_`), "RUN"},
		{regexp.MustCompile(`: it (?:is cancelled|ends after the entries that it is at)`), ": CANCELLED"},
		{regexp.MustCompile(`, COUNT at TIME took DURATION`), ""},
		{regexp.MustCompile(`: [\w ]+, \d+ events pending`), ": STATE"},
		{regexp.MustCompile(`\S+:\d+ leads`), "PROCESS leads"},
		{regexp.MustCompile(`  +`), "  "},
	}
)

// same tells whether two outputs differ only in what differs from run to run. What programs in the
// background print comes in any order.
func same(a, b string, anyOrder bool) bool {
	lines := [2][]string{}
	for i, text := range []string{a, b} {
		for _, d := range differs {
			text = d.what.ReplaceAllString(text, d.to)
		}
		if lines[i] = strings.Split(text, "\n"); anyOrder {
			slices.Sort(lines[i])
		}
	}
	return slices.Equal(lines[0], lines[1])
}

// sitting is a person at a shell, in the folder of a bridge.
type sitting struct {
	t     *testing.T
	dir   string
	in    io.Writer
	out   safeBuffer
	typed int
	// shown and real are the words of the page and those of this run for the same things.
	shown, real []string
	beside      bool // a program in the background prints
}

// openShell starts a shell in which hookspan is this program. In its folder is hookspan.yaml, the
// first configuration of the page.
func openShell(t *testing.T, page string, environment ...string) *sitting {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir, bin := t.TempDir(), t.TempDir()
	s := &sitting{t: t, dir: dir, shown: []string{"/srv/bridge"}, real: []string{dir}}
	for _, port := range []string{"8080", "8081", "4222", "8090", "3000", "3001", "3002", "3003"} {
		s.shown = append(s.shown, "127.0.0.1:"+port)
		s.real = append(s.real, net.JoinHostPort("127.0.0.1", strconv.Itoa(natstest.FreePort(t))))
	}
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	s.shown, s.real = append(s.shown, "../hookspan"), append(s.real, repository)
	_, yaml, _ := strings.Cut(page, "```yaml\n")
	yaml, _, _ = strings.Cut(yaml, "```")
	if !strings.Contains(yaml, "ingress:") {
		yaml += `ingress: {listen: "127.0.0.1:8080", public_url: "http://127.0.0.1:8080"}` + "\n"
	}
	if !strings.Contains(yaml, "nats:") {
		yaml += `nats: {listen: "127.0.0.1:4222", events: {max_bytes: 64MiB}}` + "\n"
	}
	put(t, dir, "hookspan.yaml", s.toReal(yaml+`admin: {listen: "127.0.0.1:8081"}
`))
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "hookspan")))
	service := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s \"$@\"\n", asService, s.toReal("127.0.0.1:3000"), self)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "billing"), []byte(service), 0o700))
	server := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asNATS, self)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "nats-server"), []byte(server), 0o700))

	if strings.Contains(page, "hookspan-lossy") {
		buildLossy(t, filepath.Join(bin, "hookspan-lossy"))
		archive := filepath.Join(dir, "archive")
		t.Cleanup(func() { _ = unix.Unmount(archive, unix.MNT_DETACH) }) // of a test that failed
	}

	cmd := exec.Command("bash", "--norc")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &s.out, &s.out
	cmd.Env = append(os.Environ(), asHookspan+"=1", "PATH="+bin+":"+os.Getenv("PATH"), //nolint:forbidigo // it goes on to another program
		"GET3W_WEBHOOK_SECRET="+secret, "GET3W_API_KEY=a-key-of-the-provider", "BILLING_SECRET=a-secret-of-the-billing-service")
	cmd.Env = append(cmd.Env, environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a failed test leaves running
		_ = cmd.Wait()
	})
	return s
}

// serveAs answers every request with the status that is its argument, 200 without one, until the
// process is ended.
func serveAs(address string, args []string) {
	code, err := http.StatusOK, error(nil)
	if len(args) > 0 {
		code, err = strconv.Atoi(args[0])
	}
	if err == nil {
		err = (&http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
		}), ReadHeaderTimeout: patience}).ListenAndServe()
	}
	panic(err)
}

// serveNATS is nats-server until the process is ended.
func serveNATS(args []string) {
	opts, err := server.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ExitOnError), args, nil, nil, nil)
	if err == nil {
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.ConfigureLogger()
			err = server.Run(s)
			s.WaitForShutdown()
		}
	}
	if err != nil {
		panic(err)
	}
	os.Exit(0)
}

// transcribe runs a page, with more in the environment of its commands.
func transcribe(t *testing.T, path string, environment ...string) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	s := openShell(t, string(text), environment...)
	made := typed.ReplaceAllStringFunc(string(text), func(piece string) string {
		found := typed.FindStringSubmatch(piece)
		switch found[2] {
		case "run":
			_, code := s.run(found[3])
			require.Equal(t, "0", code, "%s\n%s", found[3], s.out.String())
		case "until":
			require.Eventually(t, func() bool { _, code := s.run(found[3]); return code == "0" }, patience, 100*time.Millisecond, found[3])
		case "get":
			url, words, _ := strings.Cut(s.toReal(found[3]), " ")
			require.Eventually(t, func() bool { return strings.Contains(answerAt(url), cmp.Or(words, "HTTP/")) }, patience, 20*time.Millisecond, found[3])
		default:
			if found[4] != "" {
				put(t, s.dir, found[4], s.toReal(found[5]))
				break
			}
			piece = console + s.block(found[1]) + "```"
			require.LessOrEqual(t, strings.Count(piece, "\n")-1, maxLines, piece)
		}
		return piece
	})
	_, code := s.run("kill $(jobs -p); wait")
	require.Equal(t, "0", code, s.out.String())
	if *writeDocs && made != string(text) {
		require.NoError(t, os.WriteFile(path, []byte(made), 0o600))
	}
}

// answerAt returns what is answered, with its protocol and status.
func answerAt(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return res.Proto + " " + res.Status + "\n" + string(body)
}

// block types the commands of a block, and returns the block with what was seen.
func (s *sitting) block(text string) string {
	out := ""
	for _, step := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, shown, _ := strings.Cut(step, "\n")
		if shown = strings.TrimSuffix(shown, "\n"); shown != "" {
			shown += "\n"
		}
		out += "$ " + command + "\n" + s.see(command, shown)
	}
	return out
}

// see types a command and waits until what is expected was printed.
func (s *sitting) see(command, shown string) string {
	s.t.Helper()
	s.beside = s.beside || strings.HasPrefix(command, "hookspan ") && strings.HasSuffix(command, "&") && !strings.Contains(command, ">")
	from := len(s.out.String())
	_, code := s.run(command)
	got, wait := "", patience
	if *writeDocs {
		wait = 5 * time.Second // as long as a person waits whether something is still to come
	}
	matches := func() bool {
		if got = padding.ReplaceAllString(marker.ReplaceAllString(s.out.String()[from:], ""), ""); got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		s.know(shown, got)
		got = s.toShown(got)
		return code == "0" && same(got, shown, s.beside)
	}
	unknown := *writeDocs && shown == "" && strings.HasSuffix(command, "&") // what it prints may come late
	for end := time.Now().Add(wait); (unknown || !matches()) && time.Now().Before(end); {
		if reads.MatchString(command) {
			from = len(s.out.String())
			_, code = s.run(command)
		} else {
			<-time.After(20 * time.Millisecond) // what is printed beside may still come
		}
	}
	if strings.HasPrefix(command, "kill ") {
		s.beside = false
	}
	switch {
	case matches():
		return shown
	case *writeDocs:
		return got
	}
	require.Equal(s.t, shown, got, "%s ended with %s: if it is right, write it with -run and -update\n%s", command, code, s.out.String())
	return ""
}

// know takes the ids of the page for those of this run, in their order.
func (s *sitting) know(shown, got string) {
	a, b := ids.FindAllString(shown, -1), ids.FindAllString(got, -1)
	if len(a) != len(b) {
		return
	}
	for i := range a {
		if a[i] != b[i] && !slices.Contains(s.shown, a[i]) {
			s.shown, s.real = append(s.shown, a[i]), append(s.real, b[i])
		}
	}
}

func (s *sitting) toReal(text string) string  { return replaced(text, s.shown, s.real) }
func (s *sitting) toShown(text string) string { return replaced(text, s.real, s.shown) }

func replaced(text string, from, to []string) string {
	for i := range from {
		text = strings.ReplaceAll(text, from[i], to[i])
	}
	return text
}

// padding is what cut leaves of a table.
var padding = regexp.MustCompile(`(?m) +$`)

// marker is printed behind each command, with its exit code.
var marker = regexp.MustCompile(`\n?\x1e\d+ \d+\n`)

// elsewhere has what a verb does not look up in the folder, and a test has on other ports.
var elsewhere = strings.NewReplacer("hookspan send", "hookspan send --url http://127.0.0.1:8080/webhooks/get3w",
	"hookspan fake-get3w", "hookspan fake-get3w --listen 127.0.0.1:8090")

// run types a command and returns what was printed, and its exit code.
func (s *sitting) run(command string) (out, code string) {
	s.t.Helper()
	from := len(s.out.String())
	s.typed++
	_, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; printf '\\n\\036%d %%d\\n' $?\n", s.toReal(elsewhere.Replace(command)), s.typed)
	require.NoError(s.t, err)
	mark := fmt.Sprintf("\n\x1e%d ", s.typed)
	require.Eventually(s.t, func() bool {
		var ended bool
		out, code, ended = strings.Cut(s.out.String()[from:], mark)
		return ended && strings.Contains(code, "\n")
	}, patience, 10*time.Millisecond, "%s does not end\n%s", command, s.out.String())
	code, _, _ = strings.Cut(code, "\n")
	return out, code
}
