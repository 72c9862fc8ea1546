package exec

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script    string
		permanent bool
		want      string // empty: done
	}{
		{"exit 0", false, ""},
		{"echo failed >&2; exit 0", false, ""},
		{"exit 65", true, "the command cannot use this event: exit status 65"},
		{"echo a; echo ' no such size  ' >&2; exit 65", true, `exit status 65: "no such size"`},
		{"exit 75", false, "the command failed: exit status 75"},
		{"exit 1", false, "the command failed: exit status 1"},
		{"echo later; exit 64", false, `the command failed: exit status 64: "later"`},
		{"exit 66", false, "exit status 66"},
		{"exit 77", false, "exit status 77"},
		{"exit 255", false, "exit status 255"},
		{"/no/such/program", false, "exit status 127"},
		{"kill -9 $$", false, "the command failed: signal: killed"},
		{"kill -TERM $$", false, "the command failed: signal: terminated"},
		{"printf '\\033[2J\\n'; exit 3", false, `exit status 3: "\x1b[2J"`},
	} {
		b := setup(t, c.script)
		err := b.handle(newEvent("p"))
		require.Equal(t, c.permanent, consumers.IsPermanent(err), c.script)
		if c.want == "" {
			require.NoError(t, err, c.script)
		} else {
			require.ErrorContains(t, err, c.want, c.script)
		}
		require.Empty(t, entries(t, b.dir), c.script)
	}
}

func TestBodyIsTheInput(t *testing.T) {
	t.Parallel()
	b := setup(t, `cat >"$OUT/body"`)
	body := make([]byte, 4<<20)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	ev := newEvent("p")
	ev.Body = body
	require.NoError(t, b.handle(ev))
	require.True(t, bytes.Equal(body, []byte(b.read("body"))))
}

func TestInputThatIsNotRead(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"exit 0", "exec <&-; exit 0", "head -c 1 >/dev/null"} {
		ev := newEvent("p")
		ev.Body = make([]byte, 4<<20)
		require.NoError(t, setup(t, script).handle(ev), script)
	}
}

// Arguments are passed as they are written: there is no shell that reads them.
func TestArgumentsAreTheConfigurationsAlone(t *testing.T) {
	t.Parallel()
	b := setupCommand(t, "/bin/sh", "-c", `printf '%s\n' "$#" "$@" >"$OUT/args"`, "name", "--size=512", "$HOME `id` ; *", "")
	require.NoError(t, b.handle(newEvent("$(touch x)")))
	require.Equal(t, "3\n--size=512\n$HOME `id` ; *\n\n", b.read("args"))
}

func TestWorkingFolder(t *testing.T) {
	t.Parallel()
	b := setup(t, `pwd >"$OUT/pwd"; ls -A | wc -l >"$OUT/files"; stat -c %a . >"$OUT/mode"; printf %s "$TMPDIR" >"$OUT/tmp"
		mkdir -p deep/er; ln -s "$OUT" out; echo x >deep/er/file; mktemp >/dev/null; exit 1`)
	require.Error(t, b.handle(newEvent("p")))
	dir := strings.TrimSpace(b.read("pwd"))
	require.Equal(t, b.dir, filepath.Dir(dir))
	require.Equal(t, dir, b.read("tmp"))
	require.Equal(t, "0", strings.TrimSpace(b.read("files")))
	require.Equal(t, "700", strings.TrimSpace(b.read("mode")))
	require.Empty(t, entries(t, b.dir))
	require.FileExists(t, filepath.Join(b.out, "pwd"), "what a link leads to stays")

	require.NoError(t, os.RemoveAll(filepath.Dir(b.dir)))
	require.ErrorContains(t, b.handle(newEvent("p")), "exit status 1", "the folder is made again")
}

func TestWorkingFoldersOfAKilledProcessAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "attempt-1", "deep"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "attempt-1", "file"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
	_, err := New(Config{Command: []string{"/bin/true"}, Dir: dir})
	require.NoError(t, err)
	require.Equal(t, []string{"mine"}, entries(t, dir))
}

func TestSealedFoldersCanBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	require.NoError(t, os.MkdirAll(deep, 0o700))
	require.NoError(t, os.Chmod(deep, 0))
	require.NoError(t, os.Chmod(filepath.Dir(deep), 0))
	giveRights(dir)
	info, err := os.Stat(deep)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Config{Command: []string{"/bin/true"}, Dir: t.TempDir()}
	for want, change := range map[string]func(*Config){
		"command: it is empty":                func(c *Config) { c.Command = nil },
		"no absolute path":                    func(c *Config) { c.Command = []string{"thumbnail"} },
		"an argument holds a NUL byte":        func(c *Config) { c.Command = []string{"/bin/true", "a\x00b"} },
		"absolute path":                       func(c *Config) { c.Dir = "work" },
		"dir is":                              func(c *Config) { c.Dir = "" },
		"no name of a variable":               func(c *Config) { c.Env = []string{"A-B=c"} },
		"env: HOOKSPAN_ID is set":             func(c *Config) { c.Env = []string{"HOOKSPAN_ID=c"} },
		"TMPDIR is set for each event":        func(c *Config) { c.Env = []string{"TMPDIR=/tmp"} },
		"the value of SECRET holds a NUL":     func(c *Config) { c.Env = []string{"SECRET=a\x00b"} },
		"making the folder of the working fo": func(c *Config) { c.Dir = "/dev/null/x" },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := New(good)
	require.NoError(t, err)
}

func TestOutputKeepsBeginningAndEnd(t *testing.T) {
	t.Parallel()
	line := func(i int) string { return "line " + strconv.Itoa(i) + "\n" }
	for _, chunks := range [][]int{{1}, {maxHead}, {maxHead, 1}, {maxHead + maxTail}, {maxHead + maxTail + 1}, {1 << 20}, {7, 300, 5000, 100000, 3, 20000, 1, 1}} {
		var text strings.Builder
		var o output
		for i := 0; len(chunks) > 0; chunks = chunks[1:] {
			start := text.Len()
			for text.Len() < start+chunks[0] {
				text.WriteString(line(i))
				i++
			}
			n, err := o.Write([]byte(text.String()[start:]))
			require.NoError(t, err)
			require.Equal(t, text.Len()-start, n)
		}
		all := text.String()
		want := all
		if left := len(all) - maxHead - maxTail; left > 0 {
			want = all[:maxHead] + "\n[" + strconv.Itoa(left) + " bytes left out]\n" + all[len(all)-maxTail:]
		}
		require.Equal(t, want, o.String())
		require.LessOrEqual(t, len(want), 16<<10, "a note has no room for more")
		lines := strings.Split(strings.TrimSpace(all), "\n")
		require.Equal(t, lines[len(lines)-1], o.lastLine())
		require.LessOrEqual(t, cap(o.tail), 4*maxTail)
	}
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "\n\n": "", "a": "a", "a\nb\n\n": "b", "a\r\nb \r\n": "b", strings.Repeat("é", 1000): strings.Repeat("é", 100),
		strings.Repeat("x", maxHead) + "\nend\n": "end",
	} {
		var o output
		_, _ = o.Write([]byte(text))
		require.Equal(t, want, o.lastLine(), "%.20q", text)
	}
}
