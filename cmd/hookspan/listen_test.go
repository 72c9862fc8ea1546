package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// service is a developer's: it answers with the status in a prediction's id.
type service struct {
	*httptest.Server

	mu   sync.Mutex
	came []string // id and attempt
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ ID string }
		text, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(text, &body) != nil || r.Header.Get("webhook-signature") == "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.came = append(s.came, body.ID+"/"+r.Header.Get("Hookspan-Attempt"))
		status, err := strconv.Atoi(body.ID[1:])
		if err != nil {
			status = http.StatusNoContent
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.came...)
}

// Listen posts what was stored before, if asked, and then what comes, each event once and in
// order; over a restart of the bridge too. Typed, an event goes out again. Nothing in the bridge
// changes.
func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	admin := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	yaml := strings.Replace(smallConfig, `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: "`+admin+`"}`, 1)
	p := serve(t, dir, yaml)
	send := func(id string) {
		t.Helper()
		status, text := p.post(`{"id":"` + id + `","status":"completed","model":"m\u001b"}`)
		require.Equal(t, 200, status, text)
	}
	send("a")
	send("b")
	p.events() // both are in the stream
	s := newService(t)
	typed, typing := io.Pipe()
	t.Cleanup(func() { _ = typing.Close() })
	stdout, stderr, stop := tailingWith(t, typed, "listen", "--to", s.URL+"/hooks", "--since", "1h", "--api", "http://"+admin)
	comes := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(s.all()) >= len(want) }, patience, 10*time.Millisecond, stderr)
		require.Equal(t, want, s.all())
	}
	comes("a/1", "b/1")
	send("c")
	comes("a/1", "b/1", "c/1")
	_, err := io.WriteString(typing, "r\nr 1\nnonsense\n\n")
	require.NoError(t, err)
	comes("a/1", "b/1", "c/1", "c/2", "a/1")

	require.Equal(t, 0, p.stop(), p.logs)
	p = serve(t, dir, yaml)
	send("x500")
	send("x422")
	comes("a/1", "b/1", "c/1", "c/2", "a/1", "x500/1", "x422/1")
	shows := func(words string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(stdout.String(), words) }, patience, 10*time.Millisecond, stdout)
	}
	shows("; for a consumer this is a dead letter\n")
	require.Equal(t, 0, stop())
	require.Regexp(t, `(?m)^1  completed  a  m\\u001b  204 No Content  \S+$`, stdout.String())
	require.Regexp(t, `(?m)^4  completed  x500  \S+  500 Internal Server Error  \S+; a consumer would try again$`, stdout.String())
	require.Contains(t, stderr.String(), "signed with whsec_")
	require.Contains(t, stderr.String(), "the bridge tells again")
	require.Contains(t, stderr.String(), "type r and Enter")
	code, list, _ := runVerb("--json", "consumers", "list", "--api", "http://"+admin)
	require.Equal(t, 0, code)
	require.Contains(t, list, `"consumers":[]`)
	require.Equal(t, 0, p.stop(), p.logs)
}

// What a stream leaves out because more comes than it tells is fetched.
func TestListenFetchesWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	s := newService(t)
	stdout, _, stop := tailing(t, "--json", "listen", "--to", s.URL, "--status", "completed", "--api", p.ready.Admin)
	require.Eventually(t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, "\nhookspan_live_clients 1\n")
	}, patience, 10*time.Millisecond)
	const n = 1500
	var want []string
	var senders sync.WaitGroup
	for i := range n {
		id := fmt.Sprint("pred_", i)
		want = append(want, id+"/1")
		senders.Go(func() { p.post(`{"id":"` + id + `","status":"completed"}`) })
		if i%20 == 0 {
			senders.Wait()
		}
	}
	senders.Wait()
	p.post(`{"id":"other","status":"failed"}`)
	require.Eventually(t, func() bool { return len(s.all()) >= n }, patience, 10*time.Millisecond, "%d came", len(s.all()))
	require.ElementsMatch(t, want, s.all())
	require.Equal(t, 0, stop())
	last := 0.0
	for line := range strings.Lines(stdout.String()) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		require.Greater(t, row["seq"], last)
		last = row["seq"].(float64)
	}
}

// A service that cannot be asked, secrets that are none, and names that nobody has are said
// before anything is posted. A service that is away or slow is a line.
func TestListenRefuses(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	put(t, p.dir, "short", "short")
	for _, args := range [][]string{
		{"--to", "127.0.0.1:3000"}, {"--to", "ftp://127.0.0.1/"}, {"--to", ""}, {"--to", "http://user:pass@127.0.0.1/"},
		{"--to", "http://127.0.0.1/", "--secret", "file:" + p.dir + "/short"}, {"--to", "http://127.0.0.1/", "--secret", "env:NONE"},
		{"--to", "http://127.0.0.1/", "--source", "nobody"}, {"--to", "http://127.0.0.1/", "--since", "yesterday"},
	} {
		code, stdout, stderr := runVerb(append([]string{"listen", "--api", p.ready.Admin}, args...)...)
		require.NotZero(t, code, args)
		require.Empty(t, stdout)
		require.NotEmpty(t, stderr)
		require.NotContains(t, stderr, "user:pass")
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server sees the client go only behind the body
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	p.post(documented)
	p.events()
	for _, to := range []string{slow.URL, fmt.Sprintf("http://127.0.0.1:%d", natstest.FreePort(t))} {
		stdout, _, stop := tailing(t, "listen", "--to", to, "--for", "100ms", "--since", "1h", "--api", p.ready.Admin)
		require.Eventually(t, func() bool { return strings.Contains(stdout.String(), "a consumer would try again") }, patience, 10*time.Millisecond)
		require.Equal(t, 0, stop())
	}
}
