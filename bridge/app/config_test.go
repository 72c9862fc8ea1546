package app

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// What is shown is in force: sources as they were last read, everything else as it began, with
// the names of those keys that wait for a restart. No secret is shown.
func TestConfigInForce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := newTestApp(t, dir, freePorts+"sources: {get3w: {kind: get3w, secrets: [\"file:"+filepath.Join(dir, "one")+"\"]}}\n")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one"), []byte(sampleSecret), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "two"), []byte(sampleSecret), 0o600))
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	show := func() (c adminapi.Config, values map[string]adminapi.Setting) {
		status, text := answerOf(t, a, http.MethodGet, "/api/v1/config", "", func(*http.Request, *http.Response) {})
		require.Equal(t, 200, status, string(text))
		require.NotContains(t, string(text), sampleSecret)
		require.NoError(t, json.Unmarshal(text, &c))
		values = map[string]adminapi.Setting{}
		for _, s := range c.Settings {
			values[s.Key] = s
		}
		return c, values
	}
	c, values := show()
	require.Equal(t, a.opts.File, c.File)
	require.Empty(t, c.Restart)
	require.Equal(t, []any{"file:" + filepath.Join(dir, "one")}, values["sources.get3w.secrets"].Value)
	require.Positive(t, values["sources.get3w.secrets"].Line)
	require.Equal(t, adminapi.Setting{Key: "journal.max_bytes", Value: "2GiB"}, values["journal.max_bytes"], "a default has no line")

	require.NoError(t, os.WriteFile(a.opts.File, []byte("data_dir: "+dir+"\n"+freePorts+"journal: {max_bytes: 3GiB}\nsources: {get3w: {kind: get3w, secrets: [\"file:"+filepath.Join(dir, "two")+"\"]}}\n"), 0o600))
	require.Eventually(t, func() bool { c, _ := show(); return len(c.Restart) > 0 }, time.Minute, 20*time.Millisecond)
	c, values = show()
	require.Equal(t, []string{"journal.max_bytes"}, c.Restart)
	require.Equal(t, "2GiB", values["journal.max_bytes"].Value, "what the file says is not in force")
	require.Equal(t, []any{"file:" + filepath.Join(dir, "two")}, values["sources.get3w.secrets"].Value)

	// Its secret is not there, so this is never in force.
	require.NoError(t, os.WriteFile(a.opts.File, []byte("data_dir: "+dir+"\n"+freePorts+"sources: {get3w: {kind: get3w, secrets: [\"file:"+filepath.Join(dir, "three")+"\"]}}\n"), 0o600))
	require.Equal(t, []string{"file:" + filepath.Join(dir, "two")}, a.sourceList().Sources[0].Secrets)
}
