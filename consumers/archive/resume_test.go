package archive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// resumed is how large the downloads are that are interrupted.
const resumed = 64 << 20

// sample is n bytes that repeat nowhere soon.
func sample(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// flaky serves a file with ranges, as http.ServeContent does, and cuts each answer
// after cut bytes while there are cuts left. It remembers what was asked.
type flaky struct {
	mu     sync.Mutex
	data   []byte
	etag   string
	cut    int
	cuts   int
	ranges []string
	// lie may answer in the place of the server.
	lie func(w http.ResponseWriter, r *http.Request) bool
	// sent, if set, is told when an answer was cut, which then hangs.
	sent chan<- struct{}
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.ranges = append(f.ranges, r.Header.Get("Range"))
	lie := f.lie
	cut := f.cuts > 0
	f.cuts--
	f.mu.Unlock()
	if lie != nil && lie(w, r) {
		return
	}
	f.mu.Lock()
	data, etag := f.data, f.etag
	f.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	w.Header().Set("Content-Type", "video/mp4")
	if cut {
		w = &cutWriter{ResponseWriter: w, r: r, left: f.cut, sent: f.sent}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (f *flaky) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ranges
}

// cutWriter breaks the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	r    *http.Request
	left int
	sent chan<- struct{}
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(w.left, len(p))])
	if w.left -= n; w.left > 0 || err != nil {
		return n, err
	}
	if w.sent != nil {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		w.sent <- struct{}{}
		<-w.r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// A connection that breaks costs nothing that came over it.
func TestBrokenConnectionIsContinued(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(resumed), etag: `"1"`, cut: resumed / 4, cuts: 2}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.mp4?sig=1")))
	asked := f.asked()
	require.Len(t, asked, 3)
	require.Empty(t, asked[0])
	require.Regexp(t, `^bytes=\d+-$`, asked[1])
	require.NotEqual(t, "bytes=0-", asked[1])
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	require.Equal(t, []string{"0.mp4", eventName, signatureName, manifestName}, names(t, folder(b.dir, "p")))
}

// Without a validator the rest may be of another file.
func TestWithoutValidatorNothingIsContinued(t *testing.T) {
	t.Parallel()
	for _, etag := range []string{"", `W/"1"`} {
		f := &flaky{data: sample(1 << 20), etag: etag, cut: 512 << 10, cuts: 1}
		srv := serve(t, f.ServeHTTP)
		b := setup(t, nil)
		ev := newEvent("p", srv.URL+"/a.mp4")
		require.ErrorContains(t, b.handle(ev), "unexpected EOF")
		require.Empty(t, temporaries(t, b.dir))
		require.NoError(t, b.handle(ev))
		require.Equal(t, []string{"", ""}, f.asked())
	}
}

// A sender that breaks every connection at once is not asked without end, and nothing of what
// came stays.
func TestContinuingHasAnEnd(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(8 << 20), etag: `"1"`, cut: 300 << 10, cuts: 1 << 30}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	b.downloader.pause = time.Millisecond
	ev := newEvent("p", srv.URL+"/a.mp4?sig=1")
	require.Error(t, b.handle(ev))
	require.LessOrEqual(t, len(f.asked()), 1+maxContinued)
	require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")))

	f.mu.Lock()
	f.cuts, f.ranges = 0, nil
	f.mu.Unlock()
	require.NoError(t, b.handle(ev))
	require.Equal(t, []string{""}, f.asked(), "the next attempt begins anew")
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	require.Zero(t, b.space.promised)
}

// interrupted is an archive whose download of an event breaks off in the middle, and is then
// asked to go on.
func interrupted(t *testing.T) (*bundle, *flaky, func() error) {
	t.Helper()
	f := &flaky{data: sample(2 << 20), etag: `"1"`, cut: 1 << 20, cuts: 1}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	b.downloader.pause = time.Millisecond
	return b, f, func() error { return b.handle(newEvent("p", srv.URL+"/a.mp4")) }
}

// Whatever a sender says of the rest, what is stored is the file or nothing.
func TestLyingSenders(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, status int, contentRange string, body []byte) bool {
		w.Header().Set("Content-Range", contentRange)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body)
		return true
	}
	for name, lie := range map[string]func(w http.ResponseWriter, at int, data []byte) bool{
		"another part": func(w http.ResponseWriter, at int, data []byte) bool {
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/%d", at-1, len(data)-1, len(data)), data[at-1:])
		},
		"another length": func(w http.ResponseWriter, at int, data []byte) bool {
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/%d", at, len(data), len(data)+1), append(data[at:len(data):len(data)], 'x'))
		},
		"no length": func(w http.ResponseWriter, at int, data []byte) bool {
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/*", at, len(data)-1), data[at:])
		},
		"nothing said": func(w http.ResponseWriter, at int, data []byte) bool { return answer(w, 206, "", data[at:]) },
		"nonsense": func(w http.ResponseWriter, at int, data []byte) bool {
			return answer(w, 206, "bytes -1-+9/0x10", data[at:])
		},
		"more than said": func(w http.ResponseWriter, at int, data []byte) bool {
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/%d", at, at+9, len(data)), data[at:])
		},
		"out of range": func(w http.ResponseWriter, _ int, data []byte) bool {
			return answer(w, 416, fmt.Sprintf("bytes */%d", len(data)), nil)
		},
		"another version": func(w http.ResponseWriter, at int, data []byte) bool {
			w.Header().Set("ETag", `"2"`)
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/%d", at, len(data)-1, len(data)), sample(len(data) + 1)[at+1:])
		},
		"compressed": func(w http.ResponseWriter, at int, data []byte) bool {
			w.Header().Set("Content-Encoding", "gzip")
			return answer(w, 206, fmt.Sprintf("bytes %d-%d/%d", at, len(data)-1, len(data)), data[at:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, f, handle := interrupted(t)
			f.lie = func(w http.ResponseWriter, r *http.Request) bool {
				var at int
				_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at)
				return err == nil && lie(w, at, f.data)
			}
			require.NoError(t, handle())
			require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))), name)
			require.Empty(t, temporaries(t, b.dir))
			require.NotEmpty(t, f.asked()[1], "it was asked to go on")
		})
	}
}

// A sender that sends less of the rest than there is, is asked for more.
func TestRestInPieces(t *testing.T) {
	t.Parallel()
	b, f, handle := interrupted(t)
	f.lie = func(w http.ResponseWriter, r *http.Request) bool {
		var at int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at); err != nil {
			return false
		}
		end := min(at+400<<10, len(f.data))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, end-1, len(f.data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(f.data[at:end])
		return true
	}
	require.NoError(t, handle())
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
}

// The file changed in between: nothing of the old one is left in the new one.
func TestChangedFileIsBegunAnew(t *testing.T) {
	t.Parallel()
	b, f, handle := interrupted(t)
	f.lie = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.data, f.etag = sample(3 << 20)[1<<20:], `"2"`
		}
		return false
	}
	require.NoError(t, handle())
	require.True(t, bytes.Equal(sample(3 << 20)[1<<20:], []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
}

// Another process on the same event, such as one whose lease ran out, neither removes what is
// being downloaded nor gets its bytes mixed with it: each writes a file of its own.
func TestOutputOfAnotherProcess(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	begun := make(chan struct{})
	stored, goOn := context.WithCancel(t.Context())
	defer goOn()
	data := sample(2 * half)
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		first := asked.Add(1) == 1
		_, _ = w.Write(data[:half])
		if first {
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-stored.Done()
		}
		_, _ = w.Write(data[half:])
	})
	ours := setup(t, nil)
	theirs := setup(t, func(c *Config) { c.Location.Dir = ours.dir })
	ev := newEvent("p", srv.URL+"/a.mp4")
	done := make(chan error, 1)
	go func() { done <- ours.handle(ev) }()
	<-begun
	written := func() bool { return len(temporaries(t, ours.dir)) == 1 }
	require.Eventually(t, written, time.Minute, time.Millisecond)
	require.NoError(t, theirs.handle(ev))
	// One that was removed before it was locked has a successor.
	require.Eventually(t, written, time.Minute, time.Millisecond)
	goOn()
	require.NoError(t, <-done)
	require.Equal(t, data, []byte(readFile(t, folder(ours.dir, "p"), "0.mp4")))
	require.Equal(t, []string{"0.mp4", eventName, signatureName, manifestName}, names(t, folder(ours.dir, "p")))
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]int64{
		"bytes 5-9/10": {5, 9, 10}, "bytes 0-0/1": {0, 0, 1}, "bytes 5-9/*": nil, "bytes */10": nil, "": nil, "bytes 9-5/10": nil,
		"bytes 5-10/10": nil, "items 5-9/10": nil, "bytes 5-9": nil, "bytes 5-9/99999999999999999999": nil, "bytes=5-9/10": nil, "bytes 5-9/10, bytes 1-2/10": nil,
	} {
		begin, end, total, ok := contentRange(http.Header{"Content-Range": {text}})
		require.Equal(t, want != nil, ok, text)
		if ok {
			require.Equal(t, want, []int64{begin, end, total})
		}
	}
	_, _, _, ok := contentRange(http.Header{"Content-Range": {"bytes 5-9/10", "bytes 0-9/10"}})
	require.False(t, ok)
}

func TestValidator(t *testing.T) {
	t.Parallel()
	const old, now = "Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2006 15:06:05 GMT"
	for want, h := range map[string]http.Header{
		`"x"`: {"Etag": {`"x"`}, "Last-Modified": {old}, "Date": {now}},
		old:   {"Last-Modified": {old}, "Date": {now}},
		"":    {"Etag": {`W/"x"`}, "Last-Modified": {old}, "Date": {now}},
	} {
		require.Equal(t, want, validator(h))
	}
	require.Empty(t, validator(http.Header{"Last-Modified": {now}, "Date": {now}}))
	require.Empty(t, validator(http.Header{"Last-Modified": {old}}))
	require.Empty(t, validator(http.Header{"Etag": {`"` + string(make([]byte, maxValidator)) + `"`}}))
	require.Empty(t, validator(http.Header{}))
}
