package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

const (
	oncall    = "oncall-token-0123456789"
	successor = "oncall-token-9876543210"
)

// tokenConfig has one token, in a file.
func tokenConfig(listen string) string {
	return strings.Replace(smallConfig, `admin: {listen: "127.0.0.1:0"}`,
		`admin: {listen: "`+listen+`", tokens: [{name: oncall, scopes: [read, act, submit], secret: file:token}]}`, 1)
}

// runWith runs a verb with variables of the environment.
func runWith(variables map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	e := testEnv()
	e.stdout, e.stderr = &out, &errOut
	e.getenv = func(name string) (string, bool) { value, ok := variables[name]; return value, ok }
	code = run(args, e)
	return code, out.String(), errOut.String()
}

// The command line names its token by its place, on loopback and off it, and never shows it.
func TestVerbsWithAToken(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		dir := t.TempDir()
		put(t, dir, "token", oncall+"\n")
		put(t, dir, "wrong", "wrong-token-0123456789\n")
		p := serve(t, dir, tokenConfig(listen))
		for _, verb := range [][]string{{"consumers", "list"}, {"predictions", "list"}, {"predictions", "watch", "--source", "get3w", "pred_1"}} {
			args := append(verb, "--api", p.ready.Admin)
			for _, with := range [][]string{{"--token", "file:" + filepath.Join(dir, "token")}, {"--token", "env:MINE"}, nil} {
				variables := map[string]string{"MINE": oncall}
				if with == nil {
					variables = map[string]string{"HOOKSPAN_TOKEN": oncall}
				}
				code, _, stderr := runWith(variables, append(args, with...)...)
				require.Equal(t, 0, code, "%v %v %s", args, with, stderr)
			}
			for _, with := range [][]string{nil, {"--token", "file:" + filepath.Join(dir, "wrong")}} {
				code, _, stderr := runWith(nil, append(args, with...)...)
				require.Equal(t, 1, code)
				require.Contains(t, stderr, "401")
				require.Contains(t, stderr, "--token")
				require.NotContains(t, stderr, "token-0123456789")
			}
			code, _, stderr := runWith(nil, append(args, "--token", oncall)...)
			require.Equal(t, 2, code, "other users see the arguments of a process")
			require.Contains(t, stderr, "env:NAME or file:PATH")
			require.NotContains(t, stderr, oncall)
			code, _, stderr = runWith(nil, append(args, "--token", "env:NONE")...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, "--token: the secret env:NONE is empty or not set")
		}
		require.Equal(t, 0, p.stop(), p.logs)
		require.NotContains(t, p.logs.String(), "token-0123456789")
		warned := strings.Contains(p.logs.String(), "tokens travel as they are")
		require.Equal(t, listen == "0.0.0.0:0", warned)
		text, err := os.ReadFile(filepath.Join(dir, "hookspan-data", "audit-submit.json"))
		require.NoError(t, err)
		require.Equal(t, 3, strings.Count(string(text), `"who":"oncall"`))
		require.NotContains(t, string(text), oncall)
	}
}

// apiAnswers waits until a call with the token gets the status.
func (p *program) apiAnswers(token string, status int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		req, err := http.NewRequest(http.MethodGet, p.ready.Admin+apiPath+"/consumers", nil)
		require.NoError(p.t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		require.NoError(p.t, err)
		require.NoError(p.t, res.Body.Close())
		// Wrong tokens are limited; in the end each is answered.
		return res.StatusCode == status
	}, patience, 50*time.Millisecond, p.logs)
}

// A token that is changed or removed ends working without a restart, whatever else of the
// configuration cannot be used. Nothing opens the API again.
func TestTokensAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "token", oncall)
	p := serve(t, dir, tokenConfig("127.0.0.1:0"))
	p.apiAnswers(oncall, 200)
	put(t, dir, "token", successor)
	p.apiAnswers(successor, 200)
	p.apiAnswers(oncall, 401)
	require.NoError(t, os.Remove(filepath.Join(dir, "token")))
	p.logged("some tokens cannot be used")
	p.apiAnswers(successor, 401)
	put(t, dir, "token", oncall)
	p.apiAnswers(oncall, 200)
	put(t, dir, "hookspan.yaml", smallConfig+"sources: {get3w: {secrets: [file:none]}}\n")
	p.logged("cannot be used; what ran before goes on")
	p.apiAnswers(oncall, 401)
	put(t, dir, "hookspan.yaml", tokenConfig("127.0.0.1:0"))
	p.apiAnswers(oncall, 200)
	put(t, dir, "hookspan.yaml", "admin: {listen: nowhere}\n")
	put(t, dir, "token", successor)
	p.apiAnswers(oncall, 401)
	p.apiAnswers(successor, 200)
	put(t, dir, "hookspan.yaml", smallConfig)
	p.apiAnswers(successor, 401)
	require.NotContains(t, p.logs.String(), "needs a restart")
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), "oncall-token")
}

// Serve and config check refuse tokens that cannot be used.
func TestTokensThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "short", "short")
	config := strings.ReplaceAll(tokenConfig("127.0.0.1:0"), "file:token", "file:"+filepath.Join(dir, "short"))
	put(t, dir, "hookspan.yaml", "data_dir: "+filepath.Join(dir, "data")+"\n"+config)
	for _, verb := range [][]string{{"config", "check"}, {"serve"}} {
		code, _, stderr := runVerb(append(verb, "--config", filepath.Join(dir, "hookspan.yaml"))...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "admin.tokens: token oncall: its secret has 5 bytes")
	}
	code, _, stderr := runVerb("config", "check", "--no-secrets", filepath.Join(dir, "hookspan.yaml"))
	require.Equal(t, 0, code, stderr)
}

// With admin.tls the listener speaks HTTPS alone, and SSL_CERT_FILE names its authority.
func TestVerbsOverHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificatetest.Issue(t, dir, 1)
	put(t, dir, "token", oncall)
	p := serve(t, dir, strings.Replace(tokenConfig("127.0.0.1:0"), "admin: {", "admin: {tls: {cert: "+cert+", key: "+key+"}, ", 1))
	require.Regexp(t, `^https://127\.0\.0\.1:`, p.ready.Admin)
	code, _, stderr := runWith(map[string]string{"HOOKSPAN_TOKEN": oncall}, "consumers", "list", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "unknown authority")
	for _, with := range [][]string{{"--api", p.ready.Admin}, nil} { // by the data folder
		cmd := command(t, dir, append([]string{"consumers", "list", "--token", "file:token"}, with...)...)
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+cert)
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", text)
	}
	res, err := http.Get("http" + strings.TrimPrefix(p.ready.Admin, "https") + "/livez")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 400, res.StatusCode)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), "TLS handshake")
}
