package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// signed is what testdata/node/verify.js reads.
type signed struct {
	Secret  string            `json:"secret"`
	Raw     bool              `json:"raw"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Good    bool              `json:"good"`
}

// The library that many services verify with takes what is signed here, and nothing
// that was changed.
func TestSignatureWithTheReferenceLibrary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	needs.Programs(t, "node", "npm")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs Node.js and npm (apt-get install nodejs npm): %s", out)

	requests := make(chan got, 1)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- got{r.Header, body}
	})
	raw := strings.Repeat("raw-key-", 4)
	other := "whsec_" + strings.Repeat("bm8g", 10)
	var cases []signed
	for _, mode := range []Mode{Binary, Structured} {
		b := setup(t, srv.URL, func(c *Config) {
			c.Mode, c.Secrets = mode, [][]byte{[]byte(testSecret), []byte(raw)}
		})
		require.NoError(t, b.Handle(ctx, newEvent("pred.1 é")))
		g := next(t, requests)
		headers := map[string]string{}
		for name := range g.header {
			headers[name] = g.header.Get(name)
		}
		c := signed{Secret: testSecret, Headers: headers, Body: string(g.body), Good: true}
		cases = append(cases, c)
		c.Secret, c.Raw = raw, true
		cases = append(cases, c)
		c.Good = false
		c.Secret, c.Raw = other, false
		cases = append(cases, c)
		c.Secret, c.Body = testSecret, strings.Replace(c.Body, "completed", "cancelled", 1)
		cases = append(cases, c)
	}
	input, err := json.Marshal(cases)
	require.NoError(t, err)
	verify := exec.CommandContext(ctx, "node", "verify.js")
	verify.Dir, verify.Stdin = dir, bytes.NewReader(input)
	out, err = verify.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "verified\n", string(out))
}
