package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// An output that the provider serves only some time after its webhook is archived, also
// when the bridge is started anew meanwhile, and is no dead letter at any time.
func TestLateOutputIsArchived(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var there atomic.Bool
	outputs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1); !there.Load() {
			w.WriteHeader([]int{http.StatusNotFound, http.StatusForbidden}[asked.Load()%2])
			return
		}
		_, _ = io.WriteString(w, "image")
	}))
	defer outputs.Close()
	dir := t.TempDir()
	const file = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true, retry: {first: 10ms}}
`
	completed := time.Now().UTC()
	p := serve(t, dir, file)
	status, text := p.post(`{"id":"--help","status":"completed","completed_at":"` + completed.Format(time.RFC3339) + `","outputs":["` + outputs.URL + `/a|b.png?name=a b"]}`)
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool { return asked.Load() >= 3 }, patience, 10*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)

	p = serve(t, dir, file)
	before := asked.Load()
	require.Eventually(t, func() bool { return asked.Load() > before }, patience, 10*time.Millisecond, p.logs)
	there.Store(true)
	folder := filepath.Join(dir, "hookspan-data", "archive", "get3w", completed.Format("2006/01/02"), "=2D-help")
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(folder, "manifest.json"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	kept, err := os.ReadFile(filepath.Join(folder, "0.png"))
	require.NoError(t, err)
	require.Equal(t, "image", string(kept))
	var letters adminapi.DeadLetterList
	p.verb(&letters, "dead", "list", "--consumer", "archive")
	require.Empty(t, letters.Letters)
	require.Equal(t, 0, p.stop(), p.logs)
}
