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

// signedWith reports whether a request is signed with the key.
func signedWith(r *http.Request, body []byte, key string) bool {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, r.Header.Get("Webhook-Id")+"."+r.Header.Get("Webhook-Timestamp")+".")
	mac.Write(body)
	return r.Header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// From a webhook to a service of somebody else; its secret changes while the bridge runs.
func TestForward(t *testing.T) {
	t.Parallel()
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

// A forwarder without its secret sends nothing, since no target could verify it.
func TestForwardWithoutItsSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {billing: {kind: forward, url: \"https://x.example\", secret: env:HOOKSPAN_NO_SUCH}}", 1)
	put(t, dir, "hookspan.yaml", config)
	out, err := command(t, dir, "serve", "--config", "hookspan.yaml").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "consumers.billing.secret: the secret env:HOOKSPAN_NO_SUCH is empty or not set: set it")
}
