package archive

import (
	"bytes"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two servers behind one name have two versions. The first answer breaks off before
// its first byte, so the second is whole and of the other version; the rest of it is
// not that of the first.
func TestVersionsOfTwoServersAreNotMixed(t *testing.T) {
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
	b.fetcher.pause = time.Millisecond
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.mp4")))
	require.True(t, bytes.Equal(one, []byte(readFile(t, folder(b.dir, "p"), "0.mp4"))))
	require.Empty(t, temporaries(t, b.dir))
}
