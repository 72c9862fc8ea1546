package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// Two servers behind one name have two versions. The first answer breaks off before
// its first byte, so the second is whole and of the other version; the rest of it is
// not that of the first.
func TestVersionsOfTwoServersAreNotMixed(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	one, two := sample(size), bytes.Repeat([]byte("two "), size/4)
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		begin := func(etag string, body []byte) {
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(body)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		switch asked.Add(1) {
		case 1:
			begin(`"1"`, nil)
		case 2:
			begin(`"2"`, two[:size/2])
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(one))
	})
	b := setup(t, nil)
	b.downloader.pause = time.Millisecond
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.mp4")))
	require.True(t, bytes.Equal(one, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	require.Empty(t, temporaries(t, b.dir))
}

// A connection breaks, and the next one is closed without an answer. What RoundTrip
// says then is io.EOF, and is not the end of the file.
func TestNoAnswerIsNotTheEnd(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(2 << 20), etag: `"1"`, cut: 1 << 20, cuts: 1}
	f.lie = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	srv := serve(t, f.ServeHTTP)
	b := setup(t, nil)
	b.downloader.pause = time.Millisecond
	ev := newEvent("p", srv.URL+"/a.mp4")
	require.ErrorIs(t, b.handle(ev), io.ErrUnexpectedEOF)
	require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")))
	f.mu.Lock()
	f.lie = nil
	f.mu.Unlock()
	require.NoError(t, b.handle(ev))
	require.True(t, bytes.Equal(f.data, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
}

func TestWrappedEndIsNotTheEnd(t *testing.T) {
	t.Parallel()
	broken := fmt.Errorf("broken: %w", io.EOF)
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			half := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
			require.ErrorIs(t, fill(t, s, "a/0.txt", half), broken)
			_, err := s.get(t.Context(), "a/0.txt")
			require.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}
