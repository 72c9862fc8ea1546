package app

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
)

// A process without the role admin serves health and metrics, and says that it has no API. It
// needs none of the tokens.
func TestHealthAndMetricsWithoutTheRoleAdmin(t *testing.T) {
	t.Parallel()
	file := configFile(t, "data_dir: "+t.TempDir()+`
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", tokens: [{name: oncall, scopes: [read], secret: "file:/not/here"}]}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers: {archive: {enabled: false}}
`)
	opts := Options{File: file, Flags: config.Flags{Roles: []string{config.RoleIngress}}, Getenv: func(string) (string, bool) { return sampleSecret, true }, Log: io.Discard}
	cfg, _, err := opts.load()
	require.NoError(t, err)
	require.Empty(t, Lacks(t.Context(), cfg, opts.Getenv))
	a, err := New(cfg, opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool { return a.statusLine() == "STATUS=ready" }, time.Minute, 10*time.Millisecond) // a disk that is busy takes a moment
	for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/metrics": 200, "/": 404, "/api/v1/status": http.StatusNotImplemented} {
		res, err := client.Get(a.Ready().Admin + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, path)
	}
	require.NoFileExists(t, a.folder.Path("audit.json"))
	require.NoFileExists(t, a.folder.Path(viewFile))
	a.reloader.reload()
	require.True(t, accepts(t, a, "pred_1"))
}
