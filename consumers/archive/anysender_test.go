package archive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moody serves several versions of a file, and breaks off, changes its mind, redirects
// and leaves out what it should say as it likes. What it says is true.
type moody struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	versions [][]byte
	usual    int
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	oneIn := func(n int) bool { return m.rnd.IntN(n) == 0 }
	if oneIn(5) {
		m.usual = m.rnd.IntN(len(m.versions))
	}
	version := m.usual
	if oneIn(4) {
		version = m.rnd.IntN(len(m.versions))
	}
	data := m.versions[version]
	cut := m.rnd.IntN(len(data) + len(data)/3)
	none, untold, weak, elsewhere := oneIn(4), oneIn(4), oneIn(8), oneIn(5)
	m.mu.Unlock()
	switch {
	case none:
		panic(http.ErrAbortHandler)
	case elsewhere:
		http.Redirect(w, r, "/elsewhere.mp4", http.StatusFound)
		return
	}
	tag := strconv.Quote(strconv.Itoa(version))
	if weak {
		tag = "W/" + tag
	}
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "video/mp4")
	if cut < len(data) {
		w = &cutWriter{ResponseWriter: w, r: r, left: cut}
	}
	if untold && r.Header.Get("Range") == "" {
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(data)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Whatever a sender does, an output is one of its versions from the first byte to the last.
func TestAnySender(t *testing.T) {
	t.Parallel()
	m := &moody{rnd: rand.New(rand.NewPCG(1, 2))}
	for i := range 3 {
		m.versions = append(m.versions, bytes.Repeat([]byte{byte('a' + i), 'x'}, 250_000+i%2*1000))
	}
	srv := serve(t, m.ServeHTTP)
	b := setup(t, nil)
	b.downloader.pause = time.Microsecond
	for i := range 100 {
		id := fmt.Sprint("p", i)
		ev := newEvent(id, srv.URL+"/a.mp4?x=1", srv.URL+"/b.mp4")
		tries := 0
		for b.handle(ev) != nil {
			tries++
			require.Less(t, tries, 1000)
		}
		for _, name := range []string{"0.mp4", "1.mp4"} {
			got := []byte(readFile(t, folder(b.dir, id), name))
			require.True(t, slices.ContainsFunc(m.versions, func(v []byte) bool { return bytes.Equal(v, got) }), id)
		}
		require.Equal(t, []string{"0.mp4", "1.mp4", eventName, signatureName, manifestName}, names(t, folder(b.dir, id)))
	}
	require.Zero(t, b.space.promised)
}
