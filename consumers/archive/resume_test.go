package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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

// Without a validator nobody knows whether the rest is of the same file.
func TestWithoutValidatorNothingIsContinued(t *testing.T) {
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

// A sender that breaks every connection at once is not asked without end, and what
// came serves the next attempt.
func TestNextAttemptContinues(t *testing.T) {
	f := &flaky{data: sample(8 << 20), etag: `"1"`, cut: 300 << 10, cuts: 1 << 30}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	b.fetcher.pause = time.Millisecond
	ev := newEvent("p", srv.URL+"/a.mp4?sig=1")
	require.Error(t, b.handle(ev))
	require.LessOrEqual(t, len(f.asked()), 1+maxContinued)
	require.Equal(t, []string{"0.part", "0.part.json", eventName, signatureName}, names(t, folder(b.dir, "p")))
	require.NotContains(t, readFile(t, folder(b.dir, "p"), "0.part.json"), "sig")
	came := held(t, b.dir)
	require.GreaterOrEqual(t, came, int64(4*256<<10))

	f.mu.Lock()
	f.cuts, f.ranges = 0, nil
	f.mu.Unlock()
	require.NoError(t, b.handle(ev))
	require.Equal(t, []string{fmt.Sprintf("bytes=%d-", came)}, f.asked())
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	require.Empty(t, temporaries(t, b.dir))
	require.Zero(t, b.space.promised)
}

// What a process that was killed has written is not asked for again.
func TestKilledDownloadIsContinued(t *testing.T) {
	sent := make(chan struct{})
	f := &flaky{data: sample(3 * partStep), etag: `"1"`, cut: 2*partStep + half, cuts: 1, sent: sent}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	cmd := exec.CommandContext(t.Context(), os.Args[0], childHandle, b.dir, srv.URL+"/a.mp4")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	<-sent
	part := filepath.Join(folder(b.dir, "p"), "1.part")
	require.Eventually(t, func() bool { n, ok := readNote(part + noteSuffix); return ok && n.Bytes >= 2*partStep }, 10*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	n, _ := readNote(part + noteSuffix)
	require.NoError(t, b.handle(newEvent("p", "text", srv.URL+"/a.mp4")))
	require.Equal(t, fmt.Sprintf("bytes=%d-", n.Bytes), f.asked()[1])
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "1.mp4"))))
	require.Equal(t, []string{"0.txt", "1.mp4", eventName, signatureName, manifestName}, names(t, folder(b.dir, "p")))
}

// interrupted is an archive that has a part of an output, and its event.
func interrupted(t *testing.T) (*bundle, *flaky, func() error) {
	t.Helper()
	f := &flaky{data: sample(2 << 20), etag: `"1"`, cut: 1 << 20, cuts: 1}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	b.fetcher.pause = time.Millisecond
	ev := newEvent("p", srv.URL+"/a.mp4")
	f.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	require.Error(t, b.handle(ev))
	require.FileExists(t, filepath.Join(folder(b.dir, "p"), "0.part"))
	f.lie, f.ranges = nil, nil
	return b, f, func() error { return b.handle(ev) }
}

// Whatever a sender says of the rest, what is stored is the file or nothing.
func TestLyingSenders(t *testing.T) {
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
			require.NotEmpty(t, f.asked()[0], "it was asked to go on")
		})
	}
}

// A sender that sends less of the rest than there is, is asked for more.
func TestRestInPieces(t *testing.T) {
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
	b, f, handle := interrupted(t)
	f.data, f.etag = sample(3 << 20)[1<<20:], `"2"`
	require.NoError(t, handle())
	require.NotEmpty(t, f.asked()[0])
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))

	// In mid-download too, when the first answer is cut.
	f = &flaky{data: sample(2 << 20), etag: `"1"`, cut: 1 << 20, cuts: 1}
	f.lie = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.data, f.etag = sample(3 << 20)[1<<20:], `"2"`
		}
		return false
	}
	srv := serve(t, f.ServeHTTP)
	require.NoError(t, b.handle(newEvent("q", srv.URL+"/a.mp4")))
	require.True(t, bytes.Equal(sample(3 << 20)[1<<20:], []byte(readFile(t, folder(b.dir, "q"), "0.mp4"))))
}

// A part of which the disk lost something, as in a power cut, is not gone on with.
func TestDamagedPartIsBegunAnew(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, part string){
		"a byte": func(t *testing.T, part string) {
			f, err := os.OpenFile(part, os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("zeroes, most likely"), 100_000)
			require.NoError(t, errors.Join(err, f.Close()))
		},
		"the end":   func(t *testing.T, part string) { require.NoError(t, os.Truncate(part, 100_000)) },
		"the note":  func(t *testing.T, part string) { require.NoError(t, os.WriteFile(part+noteSuffix, []byte("{"), 0o600)) },
		"all of it": func(t *testing.T, part string) { require.NoError(t, os.Remove(part)) },
	} {
		t.Run(name, func(t *testing.T) {
			b, f, handle := interrupted(t)
			damage(t, filepath.Join(folder(b.dir, "p"), "0.part"))
			require.NoError(t, handle())
			require.Equal(t, []string{""}, f.asked())
			require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
			require.Empty(t, temporaries(t, b.dir))
		})
	}
	b, f, handle := interrupted(t)
	part := filepath.Join(folder(b.dir, "p"), "0.part")
	file, err := os.OpenFile(part, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("written after the note")
	require.NoError(t, errors.Join(err, file.Close()))
	require.NoError(t, handle())
	require.NotEmpty(t, f.asked()[0], "what the note speaks of is good")
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
}

// Another process that holds the part, such as one whose lease ran out, does not get
// its bytes mixed with ours.
func TestPartOfAnotherProcess(t *testing.T) {
	b, f, handle := interrupted(t)
	theirs, err := b.files.part(t.Context(), "get3w/2026/01/02/p", 0)
	require.NoError(t, err)
	require.NoError(t, handle())
	require.Equal(t, []string{""}, f.asked(), "it begins for itself")
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	_, err = theirs.close(true)
	require.NoError(t, err)
}

// A part is of no use once its output is gone for good, or stored.
func TestUselessPartsAreRemoved(t *testing.T) {
	b, f, handle := interrupted(t)
	f.lie = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusGone); return true }
	require.Error(t, handle())
	require.Empty(t, temporaries(t, b.dir))

	b, _, handle = interrupted(t)
	require.NoError(t, os.WriteFile(filepath.Join(folder(b.dir, "p"), "0.mp4"), []byte("whole"), 0o600))
	require.NoError(t, handle())
	require.Equal(t, []string{"0.mp4", eventName, signatureName, manifestName}, names(t, folder(b.dir, "p")))
}

func TestStopKeepsThePart(t *testing.T) {
	sent := make(chan struct{})
	f := &flaky{data: sample(2 << 20), etag: `"1"`, cut: 1 << 20, cuts: 1, sent: sent}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	ev := newEvent("p", srv.URL+"/a.mp4")
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-sent
		cancel(cause)
	}()
	require.Equal(t, cause, b.Handle(ctx, ev))
	require.NoError(t, b.handle(ev))
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
}

func TestContentRange(t *testing.T) {
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
