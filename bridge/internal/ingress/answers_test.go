package ingress

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// Every row of the table of answers, over real HTTP.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const limit = 1 << 10
	exact := body(strings.Repeat("i", 200))
	exact = exact[:len(exact)-1] + strings.Repeat(" ", limit-len(exact)) + "}"
	require.Len(t, exact, limit)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(body("a")))
	require.NoError(t, err)
	require.NoError(t, z.Close())

	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
		want   string // part of the body
	}{
		{"accepted", func(*http.Request) {}, 200, `"result":"stored"`},
		{"content type is not judged", func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, 200, "stored"},
		{"identity encoding", func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }, 200, "stored"},
		{"trailing slash", func(r *http.Request) { r.URL.Path += "/" }, 200, "stored"},
		{"exactly the limit", func(r *http.Request) { setBody(t, r, exact) }, 200, "stored"},
		{"exactly the limit, chunked", func(r *http.Request) { setBody(t, r, exact); r.ContentLength = -1 }, 200, "stored"},
		{"one byte over", func(r *http.Request) { setBody(t, r, exact+" ") }, 413, ""},
		{"one byte over, chunked", func(r *http.Request) { setBody(t, r, exact+" "); r.ContentLength = -1 }, 413, ""},
		{"no signature", func(r *http.Request) { r.Header.Del("X-Get3w-Signature") }, 401, "not authentic"},
		{"wrong signature", func(r *http.Request) { r.Header.Set("X-Get3w-Signature", strings.Repeat("0", 64)) }, 401, "not authentic"},
		{"two signatures", func(r *http.Request) { r.Header.Add("X-Get3w-Signature", r.Header.Get("X-Get3w-Signature")) }, 401, "not authentic"},
		{"flipped bit", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body("pred_1"), "pred_1", "pred_0", 1)))
		}, 401, "not authentic"},
		{"no secret configured", func(r *http.Request) { r.URL.Path = "/webhooks/mute" }, 401, "not authentic"},
		{"unknown source", func(r *http.Request) { r.URL.Path = "/webhooks/nobody" }, 404, ""},
		{"odd source", func(r *http.Request) { r.URL.Path = "/webhooks/%2e%2e/x y" }, 404, ""},
		{"other path", func(r *http.Request) { r.URL.Path = "/metrics" }, 404, ""},
		{"post to the root", func(r *http.Request) { r.URL.Path = "/" }, 405, ""},
		{"get", func(r *http.Request) { r.Method, r.Body, r.ContentLength = "GET", nil, 0 }, 405, ""},
		{"put", func(r *http.Request) { r.Method = "PUT" }, 405, ""},
		{"own method", func(r *http.Request) { r.Method, r.Body, r.ContentLength = "PURGE", nil, 0 }, 405, ""},
		{"gzip", func(r *http.Request) {
			r.Header.Set("Content-Encoding", "gzip")
			setBody(t, r, zipped.String())
		}, 415, ""},
		{"gzip behind identity", func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "gzip"} }, 415, ""},
		{"gzip that says nothing", func(r *http.Request) { setBody(t, r, zipped.String()) }, 200, `"result":"quarantined","cause":"encoding"`},
		{"empty", func(r *http.Request) { setBody(t, r, "") }, 200, `"result":"quarantined","cause":"syntax"`},
		{"duplicate key", func(r *http.Request) { setBody(t, r, `{"id":"a","status":"failed","id":"b"}`) }, 200, `"result":"quarantined","cause":"duplicate_key"`},
		{"huge duplicate key", func(r *http.Request) {
			k := strings.Repeat("k", 400)
			setBody(t, r, `{"`+k+`":1,"`+k+`":2}`)
		}, 200, `"result":"quarantined","cause":"duplicate_key"`},
		{"stale", func(r *http.Request) {
			setBody(t, r, `{"id":"a","status":"failed","completed_at":"2020-01-01T00:00:00Z"}`)
		}, 200, `"result":"quarantined","cause":"stale"`},
		{"10,000 headers", func(r *http.Request) {
			for i := range 10_000 {
				r.Header.Set(fmt.Sprintf("X-H-%d", i), "v")
			}
		}, 431, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, Config{MaxBody: limit})
			r := request(t, b.url+"/webhooks/get3w", body("pred_1"))
			c.change(r)
			res := do(t, r)
			require.Equal(t, c.status, res.status, res.text)
			require.Contains(t, res.text, c.want)
			require.Less(t, len(res.text), 1024)
			require.Empty(t, res.header.Get("Location"))
			kept, refused := b.keep.all()
			switch {
			case c.status == 200 && strings.Contains(c.want, "quarantined"):
				require.Empty(t, b.pub.published())
				require.Len(t, kept, 1)
			case c.status == 200:
				require.Len(t, b.pub.published(), 1)
				require.Empty(t, kept)
			default:
				require.Empty(t, b.pub.published())
				require.Empty(t, kept)
			}
			if c.status == 401 || c.status == 413 {
				require.Len(t, refused, 1)
			} else {
				require.Empty(t, refused)
			}
			if c.status == 405 {
				allow := "POST, HEAD, OPTIONS"
				if r.URL.Path == "/" {
					allow = "GET, HEAD, OPTIONS"
				}
				require.Equal(t, allow, res.header.Get("Allow"))
			}
			if c.status != 200 && c.status != 431 {
				require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
				require.EqualValues(t, c.status, res.json["status"])
				require.Equal(t, res.header.Get("X-Request-Id"), res.json["request_id"])
				require.EqualValues(t, c.status, b.logged(t, 1)["status"])
			}
		})
	}
}

func setBody(t *testing.T, r *http.Request, text string) {
	t.Helper()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	sign(t, r.Header, text)
}

func TestRootAnswersLoadBalancers(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	r, err := http.NewRequest(http.MethodGet, b.url+"/", nil)
	require.NoError(t, err)
	res := do(t, r)
	require.Equal(t, 200, res.status)
	require.Equal(t, "ok", res.text)
}

// Load balancers check by HEAD or OPTIONS, at the root or at a webhook's path. Every name
// has the same answer, so nobody learns which sources and tokens there are.
func TestLoadBalancersChecks(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	check := func(method, path string) response {
		r, err := http.NewRequest(method, b.url+path, nil)
		require.NoError(t, err)
		res, err := transport.RoundTrip(r)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return response{status: res.StatusCode, header: res.Header, text: string(text)}
	}
	const root, webhook = "GET, HEAD, OPTIONS", "POST, HEAD, OPTIONS"
	paths := map[string]string{
		"/": root, "/webhooks/get3w": webhook, "/webhooks/get3w/": webhook, "/webhooks/guarded/" + token: webhook,
		"/webhooks/guarded/wrong/": webhook, "/webhooks/nobody": webhook,
	}
	for path, allow := range paths {
		res := check(http.MethodHead, path)
		require.Equal(t, 200, res.status, path)
		require.Empty(t, res.text)
		res = check(http.MethodOptions, path)
		require.Equal(t, 204, res.status, path)
		require.Equal(t, allow, res.header.Get("Allow"))
		require.Equal(t, allow, check(http.MethodDelete, path).header.Get("Allow"))
	}
	for _, path := range []string{"/metrics", "/webhooks", "/webhooks/a/b/c"} {
		require.Equal(t, 404, check(http.MethodHead, path).status, path)
		require.Equal(t, 404, check(http.MethodOptions, path).status, path)
	}
	_, refused := b.keep.all()
	require.Empty(t, refused, "a check is no delivery")

	b.draining.Store(true)
	for path := range paths {
		require.Equal(t, 503, check(http.MethodHead, path).status, "balancers leave: "+path)
		require.Equal(t, 503, check(http.MethodOptions, path).status, "balancers leave: "+path)
	}
}

// The publisher's error decides, also when it stored the event before it failed. The sender
// learns nothing of internal errors.
func TestAnswersToPublishErrors(t *testing.T) {
	t.Parallel()
	inside := errors.New("dial tcp nats-7.internal:4222: " + secret[:8])
	for _, c := range []struct {
		err    error
		status int
	}{
		{bridge.ErrFull, 503},
		{bridge.ErrUnavailable, 503},
		{bridge.ErrUnknown, 503},
		{bridge.ErrTooLarge, 413},
		{context.DeadlineExceeded, 500},
		{inside, 500},
	} {
		b := start(t, Config{})
		b.pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) {
			return bridge.Receipt{Result: bridge.Stored}, fmt.Errorf("publishing: %w: %w", c.err, inside)
		}
		res := do(t, request(t, b.url+"/webhooks/get3w", body("pred_1")))
		require.Equal(t, c.status, res.status, c.err)
		require.NotContains(t, res.text, "internal:4222")
		require.NotContains(t, res.text, `"result"`)
		if c.status == 503 {
			require.Equal(t, "10", res.header.Get("Retry-After"))
		}
		require.Contains(t, b.logged(t, 1)["error"], "internal:4222")
	}
}

func TestPanicIsAnswered500(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) { panic("boom in line 7") }
	res := do(t, request(t, b.url+"/webhooks/get3w", body("pred_1")))
	require.Equal(t, 500, res.status)
	require.NotContains(t, res.text, "boom")
	require.EqualValues(t, 500, b.logged(t, 1)["status"])
	require.Equal(t, 1, b.logs.FilterMessage("panic in a request").Len())
}
