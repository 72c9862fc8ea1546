package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var kills = flag.Int("kills", 4, "how often TestKilledBridgeKeepsWhatItAnswered kills the bridge")

// oracle writes down every id that was answered 200.
type oracle struct {
	mu    sync.Mutex
	acked map[string]bool
	tick  chan struct{}
}

func (o *oracle) ack(id string) {
	o.mu.Lock()
	o.acked[id] = true
	o.mu.Unlock()
	o.tick <- struct{}{}
}

// A bridge that is killed in the middle of 64 senders has every event that it
// answered 200 for, once.
func TestKilledBridgeKeepsWhatItAnswered(t *testing.T) {
	const senders = 64
	dir := t.TempDir()
	o := &oracle{acked: map[string]bool{}, tick: make(chan struct{}, 1<<16)}
	for round := range *kills {
		p := serve(t, dir, smallConfig)
		var done sync.WaitGroup
		for sender := range senders {
			done.Go(func() { sendUntilDead(p, fmt.Sprintf("pred_%d_%d", round, sender), o) })
		}
		for range 100 + rand.IntN(400) {
			<-o.tick
		}
		p.kill()
		done.Wait()
	}
	p := serve(t, dir, smallConfig)
	stored := map[string]int{}
	for _, m := range p.events() {
		stored[m.Headers().Get("ce-subject")]++
		require.Equal(t, killBody(m.Headers().Get("ce-subject")), string(m.Data()))
	}
	lost := 0
	for id := range o.acked {
		if stored[id] == 0 {
			lost++
		}
	}
	twice := 0
	for _, n := range stored {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d kills, %d senders: answered 200 %d, stored %d, lost %d, twice %d", *kills, senders, len(o.acked), len(stored), lost, twice)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Equal(t, 0, p.stop(), p.logs)
}

func killBody(id string) string {
	return `{"id":"` + id + `","model":"get3w/flux-dev","status":"completed","outputs":["https://cdn.get3w.com/` + id + `.png"]}`
}

// sendUntilDead posts one new prediction after the other, each a second time when
// it was not answered, until nobody answers.
func sendUntilDead(p *program, prefix string, o *oracle) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s_%d", prefix, i)
		body := killBody(id)
		req, err := http.NewRequest(http.MethodPost, p.url(), strings.NewReader(body))
		if err != nil {
			return
		}
		sign(p.t, req.Header, body)
		res, err := client.Do(req)
		if err != nil {
			return
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			o.ack(id)
		}
	}
}

// kill -9 leaves what was written in the kernel, so it says nothing about the
// disk: the answer must come after the fsync. The trace of the system calls says
// in which order they were.
func TestAnswerComesAfterFsync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil && os.Getenv("CI") == "" { //nolint:forbidigo // only CI must have strace
		t.Skip("strace is not installed") //nolint:forbidigo // CI installs it and fails without
	}
	require.NoError(t, err)
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	traced := exec.Command(strace, append([]string{"-f", "-y", "-s", "48", "-e", "trace=fsync,fdatasync,read,write", "-o", trace}, cmd.Args...)...)
	traced.Dir, traced.Env = cmd.Dir, cmd.Env
	p := start(t, dir, traced)
	for i := range 3 {
		status, text := p.post(killBody(fmt.Sprintf("pred_%d", i)))
		require.Equal(t, 200, status, text)
	}
	// strace passes signals on to nobody; the bridge ends with its own.
	require.NoError(t, exec.Command("kill", "-TERM", fmt.Sprint(p.ready.PID)).Run())
	require.Equal(t, 0, p.wait(), p.logs)
	requests, synced := readTrace(t, trace)
	require.Equal(t, 3, requests)
	require.Equal(t, 3, synced, "an answer was written before its event was synced")
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	syncOfBlk  = regexp.MustCompile(`^f(?:data)?sync\(\d+<[^>]*HOOKSPAN_EVENTS/msgs/[^>]*\.blk>`)
	syncResume = regexp.MustCompile(`^<\.\.\. f(?:data)?sync resumed>`)
)

// readTrace counts the requests, and those between whose arrival and whose 200 a
// sync of the stream's block was finished.
func readTrace(t *testing.T, path string) (requests, synced int) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	syncing := map[string]bool{} // by thread
	done := false
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		m := traceLine.FindStringSubmatch(in.Text())
		if m == nil {
			continue
		}
		thread, call := m[1], m[2]
		switch {
		// net/http may have read the P alone, waiting for the next request.
		case strings.Contains(call, `OST /webhooks/get3w`):
			requests++
			done = false
		case syncOfBlk.MatchString(call) && strings.HasSuffix(call, "= 0"):
			done = true
		case syncOfBlk.MatchString(call):
			syncing[thread] = true
		case syncResume.MatchString(call) && syncing[thread]:
			delete(syncing, thread)
			done = true
		case strings.HasPrefix(call, "write(") && strings.Contains(call, `"HTTP/1.1 200 OK`) && done:
			synced++
			done = false
		}
	}
	require.NoError(t, in.Err())
	return requests, synced
}
