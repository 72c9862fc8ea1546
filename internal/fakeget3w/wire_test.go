package fakeget3w

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	anID    = regexp.MustCompile(`pred_[0-9a-f]{20}`)
	aTime   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	aQuery  = regexp.MustCompile(`\?Expires=\d+&Signature=[0-9a-f]{32}`)
	aTiming = regexp.MustCompile(`"inference":\d+`)
)

// plain replaces what differs from run to run by the documentation's examples.
func (b *bundle) plain(text string) string {
	text = strings.ReplaceAll(text, b.url, "https://api.get3w.com")
	text = anID.ReplaceAllString(text, "pred_abc123")
	text = aTime.ReplaceAllString(text, "2024-01-01T12:00:00.000Z")
	text = aQuery.ReplaceAllString(text, "?signed")
	return aTiming.ReplaceAllString(text, `"inference":2500`)
}

func TestSubmitted(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{"prompt":"A cat wearing a space suit"}`)
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
	require.JSONEq(t, `{"code":200,"message":"success","data":{"id":"pred_abc123","model":"get3w/flux-dev","status":"created",`+
		`"urls":{"get":"https://api.get3w.com/api/v3/predictions/pred_abc123"},"created_at":"2024-01-01T12:00:00.000Z"}}`, b.plain(a.body))
	three := b.call(http.MethodPost, "/api/v3/google/nano-banana-pro/text-to-image", `{}`)
	require.Equal(t, http.StatusOK, three.status)
	dots := b.call(http.MethodPost, "/api/v3/black-forest-labs/flux-1.1-pro", `{}`)
	require.Equal(t, http.StatusOK, dots.status)
}

func TestPolled(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Rules = []Rule{
			{Model: "slow/*", Duration: maxDuration},
			{Model: "never/*", Duration: 1, NeverEvery: 1},
			{Model: "fails/*", FailEvery: 1},
		}
	})
	const head = `{"code":200,"message":"success","data":{"id":"pred_abc123","model":"`
	const urls = `"urls":{"get":"https://api.get3w.com/api/v3/predictions/pred_abc123"},`
	for model, want := range map[string]string{
		"slow/model": `slow/model","status":"created","input":{"prompt":"a <cat> & a dog"},"outputs":[],` + urls +
			`"created_at":"2024-01-01T12:00:00.000Z"}}`,
		"never/model": `never/model","status":"processing","input":{"prompt":"a <cat> & a dog"},"outputs":[],` + urls +
			`"created_at":"2024-01-01T12:00:00.000Z"}}`,
		"good/model/text-to-image": `good/model/text-to-image","status":"completed","input":{"prompt":"a <cat> & a dog"},` +
			`"outputs":["https://api.get3w.com/outputs/pred_abc123-0.png?signed"],` + urls +
			`"timings":{"inference":2500},"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}}`,
		"fails/model": `fails/model","status":"failed","input":{"prompt":"a <cat> & a dog"},"error":"the model ran into an error",` + urls +
			`"timings":{"inference":2500},"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}}`,
	} {
		id := b.submit(model, `{"prompt":"a <cat> & a dog"}`)
		if model == "good/model/text-to-image" || model == "fails/model" {
			b.ended(id)
		}
		for _, path := range []string{"", "/result"} {
			a := b.call(http.MethodGet, "/api/v3/predictions/"+id+path, "")
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, head+want, b.plain(a.body))
		}
		require.Equal(t, 2, b.seen(id).Polls)
	}
}

func (b *bundle) ended(id string) {
	b.t.Helper()
	b.mu.Lock()
	one := b.predictions[id]
	b.mu.Unlock()
	select {
	case <-one.ended:
	case <-time.After(most):
		b.t.Fatal("it does not end")
	}
}

func TestV1(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Speed, c.Rules = 1, []Rule{{Model: "x/quick", Duration: 1}, {Duration: 52 * time.Second}}
	})
	a := b.call(http.MethodPost, "/v1/get3w/flux-dev", `{}`)
	require.Equal(t, http.StatusOK, a.status)
	require.JSONEq(t, `{"id":"pred_abc123","status":"created","estimated_duration":52}`, b.plain(a.body))
	quick := anID.FindString(b.call(http.MethodPost, "/v1/x/quick", `{}`).body)
	b.ended(quick)
	a = b.call(http.MethodGet, "/v1/requests/"+quick, "")
	require.JSONEq(t, `{"code":200,"id":"pred_abc123","model":"x/quick","status":"completed","input":{},"outputs":["https://api.get3w.com/outputs/pred_abc123-0.png?signed"],
		"urls":{"get":"https://api.get3w.com/api/v3/predictions/pred_abc123"},"timings":{"inference":2500},
		"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}`, b.plain(a.body))
	a = b.callAs("Bearer wrong", http.MethodGet, "/v1/requests/"+quick, "")
	require.Equal(t, http.StatusUnauthorized, a.status)
	require.JSONEq(t, `{"code":401,"error":"Invalid API key"}`, a.body)
}

func TestOtherCalls(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Credits = 5 })
	id := b.submit("get3w/flux-dev", `{}`)
	require.JSONEq(t, `{"code":200,"message":"success","data":{"balance":0.04,"currency":"USD"}}`, b.call(http.MethodGet, "/api/v3/balance", "").body)
	require.Contains(t, b.call(http.MethodGet, "/api/v3/models", "").body, `"model_id":"get3w/flux-dev"`)
	b.ended(id)
	output := b.seen(id).Outputs[0]
	a := b.call(http.MethodDelete, "/api/v3/predictions/"+id, "")
	require.JSONEq(t, `{"code":200,"message":"success","data":{"id":"pred_abc123","status":"deleted"}}`, b.plain(a.body))
	require.Equal(t, http.StatusNotFound, b.call(http.MethodDelete, "/api/v3/predictions/"+id, "").status)
	require.Equal(t, http.StatusNotFound, b.call(http.MethodGet, "/api/v3/predictions/"+id, "").status)
	require.Equal(t, http.StatusOK, b.call(http.MethodGet, output, "").status, "outputs are served on")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		message            string
	}{
		"no object":       {"POST", "/api/v3/get3w/flux-dev", `[]`, 400, "the body is not a JSON object"},
		"null":            {"POST", "/api/v3/get3w/flux-dev", `null`, 400, "the body is not a JSON object"},
		"no JSON":         {"POST", "/api/v3/get3w/flux-dev", `{"a":`, 400, "the body is not a JSON object"},
		"nothing":         {"POST", "/api/v3/get3w/flux-dev", ``, 400, "the body is not a JSON object"},
		"webhook's type":  {"POST", "/api/v3/get3w/flux-dev", `{"webhook_url":7}`, 400, "invalid parameters: webhook_url must be a string"},
		"webhook":         {"POST", "/api/v3/get3w/flux-dev", `{"webhook_url":"ftp://h/"}`, 400, "invalid parameters: webhook_url must be an http or https address"},
		"query's webhook": {"POST", "/api/v3/get3w/flux-dev?webhook=x", `{}`, 400, "invalid parameters: webhook_url must be an http or https address"},
		"credentials":     {"POST", "/api/v3/get3w/flux-dev", `{"webhook_url":"http://a:b@h/"}`, 400, "invalid parameters: webhook_url must be an http or https address"},
		"stream's type":   {"POST", "/api/v3/get3w/flux-dev", `{"stream":"yes"}`, 400, "invalid parameters: stream must be a boolean"},
		"one part":        {"POST", "/api/v3/flux-dev", `{}`, 404, "model not found"},
		"four parts":      {"POST", "/api/v3/a/b/c/d", `{}`, 404, "model not found"},
		"odd model":       {"POST", "/api/v3/a/b%20c", `{}`, 404, "model not found"},
		"no model":        {"POST", "/api/v3/predictions/pred_1", `{}`, 404, "model not found"},
		"too long":        {"POST", "/api/v3/a/b", strings.Repeat(" ", maxBody) + "{}", 413, "the body is larger than 1048576 bytes"},
		"unknown":         {"GET", "/api/v3/predictions/pred_1", ``, 404, "prediction not found"},
		"odd id":          {"GET", "/api/v3/predictions/a%2Fb%3Fc", ``, 404, "prediction not found"},
		"no path":         {"GET", "/api/v3/what", ``, 404, "not found"},
		"other method":    {"PUT", "/api/v3/predictions/pred_1", `{}`, 404, "not found"},
		"broken":          {"POST", "/api/v3/broken/model", `{}`, 500, "internal server error"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(c *Config) { c.Rules = []Rule{{Model: "broken/*", ErrorEvery: 1}} })
			a := b.call(c.method, c.path, c.body)
			require.Equal(t, c.status, a.status, a.body)
			require.JSONEq(t, fmt.Sprintf(`{"code":%d,"message":"%s","data":null}`, c.status, c.message), a.body)
			require.Equal(t, 1, b.Totals().Refused)
			require.Zero(t, b.Totals().Submitted)
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	open := setup(t, func(c *Config) { c.Key = nil })
	for _, wrong := range []string{"", "Bearer ", "Bearer wrong", "Bearer " + testKey + "x", testKey, "Basic " + testKey} {
		for _, c := range [][2]string{{"POST", "/api/v3/get3w/flux-dev"}, {"GET", "/api/v3/predictions/pred_1"}, {"GET", "/api/v3/what"}} {
			a := b.callAs(wrong, c[0], c[1], `{}`)
			require.Equal(t, http.StatusUnauthorized, a.status, wrong)
			require.JSONEq(t, `{"code":401,"message":"Invalid API key","data":null}`, a.body)
		}
	}
	require.Equal(t, http.StatusUnauthorized, open.callAs("", "POST", "/api/v3/get3w/flux-dev", `{}`).status)
	require.Equal(t, http.StatusOK, open.callAs("Bearer any", "POST", "/api/v3/get3w/flux-dev", `{}`).status)
}
