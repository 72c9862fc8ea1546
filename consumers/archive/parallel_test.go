package archive

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// As many outputs as allowed come at once: each waits for the others.
func TestOutputsAtOnce(t *testing.T) {
	t.Parallel()
	const parallel = 3
	var now, most atomic.Int32
	together := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == parallel {
			close(together)
		}
		<-together
		_, _ = io.WriteString(w, r.URL.Path)
	})
	b := setup(t, func(c *Config) { c.Parallel = parallel })
	var outputs []any
	for i := range parallel {
		outputs = append(outputs, fmt.Sprint(srv.URL, "/", i, ".png"))
	}
	require.NoError(t, b.handle(newEvent("p", outputs...)))
	require.EqualValues(t, parallel, most.Load())

	together = make(chan struct{})
	close(together)
	most.Store(parallel + 100) // closes nothing
	for range 20 {
		outputs = append(outputs, srv.URL+"/x.png")
	}
	most.Store(0)
	now.Store(100)
	require.NoError(t, b.handle(newEvent("q", outputs...)))
	require.LessOrEqual(t, most.Load(), int32(100+parallel))
}

const thousands = 2000

// An event with thousands of outputs takes no more at once than any. The test counts the
// goroutines of the whole process, so it runs beside no other.
func TestThousandsOfOutputs(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	p := &told{}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	outputs := make([]any, thousands)
	for i := range outputs {
		outputs[i] = "text"
		if i%100 == 0 {
			outputs[i] = fmt.Sprint(srv.URL, "/", i, ".png")
		}
	}
	ev := newEvent("p", outputs...)
	goroutines := runtime.NumGoroutine()
	var peak atomic.Int32
	b.space.reserve = func() (int64, error) {
		peak.Store(max(peak.Load(), int32(runtime.NumGoroutine()-goroutines)))
		return 0, nil
	}
	require.NoError(t, b.handle(ev))
	require.Less(t, peak.Load(), int32(100))
	require.Len(t, readManifest(t, folder(b.dir, "p")).Outputs, thousands)
	require.Len(t, archivedOf(t, p.events[0]).Outputs, thousands)
	require.Equal(t, "/1900.png", readFile(t, folder(b.dir, "p"), "1900.png"))
}

// The same address twice is two outputs, each with its own file.
func TestSameAddressTwice(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png", srv.URL+"/a.png")))
	require.Equal(t, "x", readFile(t, folder(b.dir, "p"), "0.png"))
	require.Equal(t, "x", readFile(t, folder(b.dir, "p"), "1.png"))
}

// The sender's name of a file does not decide where the file lies.
func TestNamesOfTheSender(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="../../../evil.sh"`)
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, png)
	})
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p",
		srv.URL+"/../../../etc/x.sh/..", srv.URL+"/%2e%2e/%2e%2e/evil.png", srv.URL+"/a%2f..%2fb", srv.URL+`/..\..\evil.png`)))
	require.Equal(t, []string{"0.png", "1.png", "2.png", "3.png", eventName, signatureName, manifestName}, names(t, folder(b.dir, "p")))
	require.Equal(t, []string{"get3w"}, names(t, b.dir))
	require.Equal(t, []string{"deep"}, names(t, filepath.Dir(filepath.Dir(b.dir))))
}

// A sender that sends another length than it says is not believed.
func TestLengthThatIsNone(t *testing.T) {
	t.Parallel()
	raw := func(w http.ResponseWriter, text string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/longer":
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefgh")
		case "/shorter":
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
		case "/two":
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
		case "/negative":
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc")
		}
	})
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/longer")))
	require.Equal(t, "abc", readFile(t, folder(b.dir, "p"), "0.txt"), "what is behind the end belongs to nobody")
	for _, path := range []string{"/shorter", "/two", "/negative"} {
		require.Error(t, b.handle(newEvent("q"+path, srv.URL+path)))
		require.NoFileExists(t, filepath.Join(folder(b.dir, "q"+path), "0.txt"))
	}
}

// A sender that drips is a sender that stalls.
func TestDrip(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	b := setup(t, func(c *Config) { c.Stall = 100 * time.Millisecond })
	require.ErrorIs(t, b.handle(newEvent("p", srv.URL)), errStalled)
}

func TestLongDownloadIsLogged(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("x"), 1<<20)
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
	b := setup(t, nil)
	d, err := b.downloader.get(t.Context(), srv.URL+"/dir/"+strings.Repeat("é", 100)+".png?sig=secret")
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Read(make([]byte, 10))
	require.NoError(t, err)
	require.Zero(t, b.logs.Len())
	d.logged = time.Now().Add(-logEvery)
	for range 2 {
		_, err = d.Read(make([]byte, 10))
		require.NoError(t, err)
	}
	require.Equal(t, 1, b.logs.Len())
	line := b.logs.All()[0]
	require.Equal(t, "downloading", line.Message)
	require.EqualValues(t, d.origin.length, line.ContextMap()["of"])
	require.Positive(t, line.ContextMap()["bytes"])
	require.NotContains(t, fmt.Sprint(line.ContextMap()), "secret")
}
