package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestForwardConfig(t *testing.T) {
	cfg, err := load(write(t, "consumers: {a: {kind: forward, url: \"https://x.example/hooks\", secret: env:A}}\n"))
	require.NoError(t, err)
	a := cfg.Consumers["a"]
	require.Equal(t, 8, a.Concurrency)
	require.Equal(t, duration(30*time.Second), a.Timeout)
	require.Equal(t, "new", a.Start)
	require.Equal(t, []secretRef{"env:A"}, a.signing())

	cfg, err = load(write(t, `
consumers:
  a:
    kind: forward
    url: http://10.1.2.3:8080/hooks
    mode: structured
    secrets: [file:/a, env:B]
    refuse: [400, 404]
    timeout: 1m
    connect_timeout: 2s
    header_timeout: 10s
    allow_networks: [10.0.0.0/8, 192.0.2.7]
`))
	require.NoError(t, err)
	a = cfg.Consumers["a"]
	require.Equal(t, []secretRef{"file:/a", "env:B"}, a.signing())
	require.Equal(t, []string{"/a"}, cfg.secretFiles())
	require.Equal(t, []int{400, 404}, a.Refuse)
	require.Equal(t, duration(time.Minute), a.Timeout)
	cfg.Roles = []string{roleIngress}
	require.Empty(t, cfg.secretFiles(), "without consumers it is of no use")
}

func TestForwardConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"unknown key", "bogus: 1", `"bogus" is not a key here`},
		{"key of another kind", "store: file:///x", `consumers.a.store: a consumer of kind forward has no such key`},
		{"no url", "url: \"\"", `consumers.a.url: it is empty`},
		{"no address", "url: x.example/hidden", `consumers.a.url: this is no address`},
		{"scheme", "url: \"ftp://x.example/hidden\"", `consumers.a.url: this is no address`},
		{"password", "url: \"https://me:hidden@x.example\"", `consumers.a.url: user and password do not belong here`},
		{"http", "url: \"http://x.example/hidden\"", `consumers.a.url: http is permitted into private networks only`},
		{"no secret", "secret: \"\"", `a secret is not written here`},
		{"secret as it is", "secret: whsec_hidden", `a secret is not written here`},
		{"two of them", "secrets: [env:B]", `consumers.a.secrets: use either secret or secrets`},
		{"mode", "mode: batch", `consumers.a.mode: use binary or structured`},
		{"refuse", "refuse: [200]", `consumers.a.refuse: 200 is no status code that can refuse`},
		{"network", "allow_networks: [office]", `consumers.a.allow_networks: "office" is no network`},
		{"timeout", "connect_timeout: -1s", `consumers.a.connect_timeout: it is -1s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "consumers:\n  a:\n    kind: forward\n    " + c.keys + "\n"
			for _, key := range []string{`url: "https://x.example"`, "secret: env:A"} {
				if name, _, _ := strings.Cut(key, ":"); !strings.HasPrefix(c.keys, name+":") {
					text += "    " + key + "\n"
				}
			}
			_, err := load(write(t, text))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n", "one line")
			require.Contains(t, err.Error(), "hookspan.yaml:")
			require.NotContains(t, err.Error(), "hidden")
		})
	}
	_, err := load(write(t, "consumers: {a: {kind: forward, url: \"https://x.example\"}}\n"))
	require.ErrorContains(t, err, "consumers.a.secret: requests are signed")
	_, err = load(write(t, "consumers: {a: {kind: archive, secret: env:A}}\n"))
	require.ErrorContains(t, err, "a consumer of kind archive has no such key")
}

// signedWith reports whether a request is signed with the key.
func signedWith(r *http.Request, body []byte, key string) bool {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, r.Header.Get("Webhook-Id")+"."+r.Header.Get("Webhook-Timestamp")+".")
	mac.Write(body)
	return r.Header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// From a webhook to a service of somebody else; its secret changes while the bridge
// runs.
func TestForward(t *testing.T) {
	oldKey, newKey := strings.Repeat("old-", 8), strings.Repeat("new-", 8)
	type arrival struct {
		key    string
		body   string
		header http.Header
	}
	arrivals := make(chan arrival, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a := arrival{body: string(body), header: r.Header}
		for _, key := range []string{oldKey, newKey} {
			if signedWith(r, body, key) {
				a.key = key
			}
		}
		arrivals <- a
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	put(t, dir, "key", oldKey)
	config := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}",
		"consumers: {billing: {kind: forward, start: all, url: \""+srv.URL+"/hooks?token=hidden\", secret: file:"+filepath.Join(dir, "key")+", allow_private: true}}", 1)
	p := serve(t, dir, config)
	sent := 0
	post := func() arrival {
		t.Helper()
		sent++
		body := `{"id":"pred_` + strconv.Itoa(sent) + `","model":"get3w/flux-dev","status":"completed","outputs":[]}`
		status, text := p.post(body)
		require.Equal(t, 200, status, text)
		select {
		case a := <-arrivals:
			require.Equal(t, body, a.body)
			return a
		case <-time.After(patience):
			t.Fatal("it never arrived: " + p.logs.String())
			panic("unreachable")
		}
	}
	a := post()
	require.Equal(t, oldKey, a.key)
	require.Equal(t, "com.get3w.prediction.completed.v1", a.header.Get("Ce-Type"))
	require.Regexp(t, `^Hookspan/[0-9A-Za-z.+_-]+$`, a.header.Get("User-Agent"))
	for _, line := range []string{`hookspan_forward_breaker_state{consumer="billing"} 0`, `hookspan_forward_request_seconds_count{class="2xx",consumer="billing"} 1`} {
		require.Eventually(t, func() bool { _, text := p.admin("/metrics"); return strings.Contains(text, line) }, patience, 10*time.Millisecond, line)
	}

	put(t, dir, "key", newKey)
	p.logged(`"secrets_changed":["billing"]`)
	require.Equal(t, newKey, post().key)
	put(t, dir, "key", "short")
	p.logged("the secret is shorter than 24 bytes")
	require.Equal(t, newKey, post().key, "what ran before goes on")
	require.Equal(t, 0, p.stop(), p.logs)
	for _, hidden := range []string{oldKey, newKey, "hidden"} {
		require.NotContains(t, p.logs.String(), hidden)
	}
}

// Without its secret a bridge does not begin to send what nobody can verify.
func TestForwardWithoutItsSecret(t *testing.T) {
	dir := t.TempDir()
	config := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {billing: {kind: forward, url: \"https://x.example\", secret: env:HOOKSPAN_NO_SUCH}}", 1)
	put(t, dir, "hookspan.yaml", config)
	out, err := command(t, dir, "serve", "--config", "hookspan.yaml").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "consumers.billing.secret: the secret env:HOOKSPAN_NO_SUCH is empty or not set: set it")
}
