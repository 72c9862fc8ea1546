package archive

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// large serves 64 MiB of which it holds 1.
func large(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(64<<20))
	chunk := make([]byte, 1<<20)
	for range 64 {
		_, _ = w.Write(chunk)
	}
}

// An output goes to the disk as it comes: what is allocated for it does not depend on its size.
func TestOutputIsNotHeldInMemory(t *testing.T) {
	srv := serve(t, large)
	b := setup(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, b.handle(newEvent("p", srv.URL)))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
	require.EqualValues(t, 64<<20, readManifest(t, folder(b.dir, "p")).Outputs[0].Bytes)
}

func BenchmarkArchive(b *testing.B) {
	srv := serve(b, large)
	a := setup(b, nil)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		require.NoError(b, a.handle(newEvent(fmt.Sprint(n), srv.URL)))
	}
}
