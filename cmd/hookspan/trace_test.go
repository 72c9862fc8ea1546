package main

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// journalSegment is a file to which the journal appends.
var journalSegment = regexp.MustCompile(`/journal/[^/]*/[^/]*\.wal$`)

// kill -9 leaves what was written in the kernel, so it says nothing about the disk: the answer
// must come after the fsync. The trace of the system calls says in which order they were.
func TestAnswerComesAfterFsync(t *testing.T) {
	t.Parallel()
	p, calls := traced(t, smallConfig)
	for i := range 3 {
		status, text := p.post(killBody(fmt.Sprintf("pred_%d", i)))
		require.Equal(t, 200, status, text)
	}
	requests, synced, done := 0, 0, false
	fileSystem, ready := false, false
	for _, c := range calls() {
		switch {
		case strings.HasPrefix(c.text, "syncfs("):
			fileSystem = true
		case strings.Contains(c.text, `{\"webhooks\":`):
			ready = true
			require.True(t, fileSystem, "what a killed process left in the kernel must be on the disk before the bridge is ready")
		// net/http may have read the P alone, waiting for the next request.
		case strings.Contains(c.text, `OST /webhooks/get3w`):
			requests++
			done = false
		case c.syncs(journalSegment):
			done = true
		case strings.HasPrefix(c.text, "write(") && strings.Contains(c.text, `"HTTP/1.1 200 OK`) && done:
			synced++
			done = false
		}
	}
	require.True(t, ready)
	require.Equal(t, 3, requests)
	require.Equal(t, 3, synced, "an answer was written before its event was synced")
}

// Those that are written together are answered after the sync that they share.
func TestAnswersComeAfterTheFsyncOfTheirBatch(t *testing.T) {
	t.Parallel()
	p, calls := traced(t, smallConfig)
	const waves, senders = 5, 64
	for wave := range waves {
		answers := make(chan string, senders)
		for i := range senders {
			go func() {
				status, text := p.post(killBody(fmt.Sprintf("pred_%d_%d_", wave, i)))
				answers <- fmt.Sprint(status, text)
			}()
		}
		for range senders {
			require.Regexp(t, "^200", <-answers)
		}
	}
	id := regexp.MustCompile(`pred_\d+_\d+_`)
	record := regexp.MustCompile(`^pwrite64\(\d+<[^>]*/journal/[^>]*\.wal>`)
	written, synced, answered, together := map[string]bool{}, map[string]bool{}, 0, 0
	for _, c := range calls() {
		switch {
		case record.MatchString(c.text):
			for _, one := range id.FindAllString(c.text, -1) {
				written[one] = true
			}
		case c.syncs(journalSegment):
			together = max(together, len(written))
			maps.Copy(synced, written)
			clear(written)
		case strings.HasPrefix(c.text, "write(") && strings.Contains(c.text, `"HTTP/1.1 200 OK`):
			answered++
			require.True(t, synced[id.FindString(c.text)], "answered before its batch was synced: %s", c.text)
		}
	}
	require.Equal(t, waves*senders, answered)
	require.Greater(t, together, 1)
	t.Logf("%d answers, at most %d by one sync", answered, together)
}

// An output has its final name only after its bytes are on the disk, and the
// manifest comes after the output.
func TestArchiveSyncsBeforeItNames(t *testing.T) {
	t.Parallel()
	outputs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("image")) }))
	defer outputs.Close()
	p, calls := traced(t, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "", events: {max_bytes: 64MiB}}
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true}
`)
	status, text := p.post(`{"id":"pred_1","status":"completed","outputs":["` + outputs.URL + `/x.png"]}`)
	require.Equal(t, 200, status, text)
	folder := filepath.Join(p.dir, "hookspan-data", "archive", "get3w", time.Now().UTC().Format("2006/01/02"), "pred_1")
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(folder, "manifest.json"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)

	var order []string
	for _, c := range calls() {
		for _, name := range []string{"0.png", "manifest.json"} {
			named := strings.Contains(c.text, "/"+name+`"`) && regexp.MustCompile(`^(rename|link)`).MatchString(c.text)
			switch {
			case c.syncs(regexp.MustCompile(`/pred_1/` + regexp.QuoteMeta(name) + `\.[0-9a-f]+\.tmp$`)):
				order = append(order, "sync "+name)
			case named:
				order = append(order, "name "+name)
			}
		}
		if c.syncs(regexp.MustCompile(`/pred_1$`)) && len(order) > 0 {
			order = append(order, "sync folder")
		}
	}
	require.Equal(t, []string{"sync 0.png", "name 0.png", "sync folder", "sync manifest.json", "name manifest.json", "sync folder"}, order)
}

// call is a system call that has returned without an error.
type call struct {
	text string
	// path is what an fsync was called on.
	path string
}

func (c call) syncs(path *regexp.Regexp) bool { return c.path != "" && path.MatchString(c.path) }

// traced serves under strace; calls ends the bridge and returns what it did.
func traced(t *testing.T, config string) (p *program, calls func() []call) {
	t.Helper()
	needs.Programs(t, "strace")
	dir := t.TempDir()
	path := filepath.Join(dir, "trace")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(config), 0o600))
	plain := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	const text = "131072" // as much of a write: a batch is one
	cmd := exec.Command("strace", append([]string{
		"-f", "-y", "-s", text, "-o", path, "-e", "trace=pwrite64,fsync,fdatasync,syncfs,read,write,rename,renameat,renameat2,link,linkat",
	}, plain.Args...)...)
	cmd.Dir, cmd.Env = plain.Dir, plain.Env
	p = start(t, dir, cmd)
	return p, func() []call {
		// strace passes no signal on; the bridge is its child and gets its own.
		require.NoError(t, exec.Command("kill", "-TERM", fmt.Sprint(p.ready.PID)).Run())
		require.Equal(t, 0, p.wait(), p.logs)
		return readTrace(t, path)
	}
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	syncBegins = regexp.MustCompile(`^f(?:data)?sync\(\d+<([^>]*)>`)
	syncGoesOn = regexp.MustCompile(`^<\.\.\. f(?:data)?sync resumed>.*= 0$`)
)

// readTrace returns the calls in the order in which they returned.
func readTrace(t *testing.T, path string) []call {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	syncing := map[string]string{} // the path, by thread
	var out []call
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		m := traceLine.FindStringSubmatch(in.Text())
		if m == nil {
			continue
		}
		c := call{text: m[2]}
		begins := syncBegins.FindStringSubmatch(c.text)
		switch {
		case begins != nil && strings.HasSuffix(c.text, "= 0"):
			c.path = begins[1]
		case begins != nil:
			syncing[m[1]] = begins[1]
		case syncGoesOn.MatchString(c.text):
			c.path = syncing[m[1]]
			delete(syncing, m[1])
		}
		out = append(out, c)
	}
	require.NoError(t, in.Err())
	return out
}
