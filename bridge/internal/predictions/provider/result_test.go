package provider

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const object = `{"id":"a/b", "status":"completed","n":1.0000000000000000001,"urls":{"get":"https://elsewhere.example/steal"}}`

func TestResultIsTheObjectAsItCame(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"envelope":              `{"code":200,"message":"success","data":` + object + `}`,
		"envelope, data first":  ` { "data" : ` + object + ` , "code" : 200 } `,
		"envelope without code": `{"data":` + object + `}`,
		"bare":                  " " + object + "\n",
	} {
		a := serve(t, saysJSON(body))
		got, err := client(t, a.URL+"/api/v3", nil).result(t, "a/b")
		require.NoError(t, err, name)
		require.True(t, bytes.Equal([]byte(object), got), "%s: %s", name, got)
		require.Equal(t, 1, a.seen(), "urls.get is not followed")
		r := a.requests[0]
		require.Equal(t, "Bearer "+apiKey, r.Header.Get("Authorization"))
		require.Equal(t, "Hookspan", r.Header.Get("User-Agent"))
	}
}

func TestIDIsOneSegment(t *testing.T) {
	t.Parallel()
	a := serve(t, saysJSON(`{"data":{}}`))
	c := client(t, a.URL+"/v3/", nil)
	for id, uri := range map[string]string{
		"pred_1": "/v3/predictions/pred_1", "a/b": "/v3/predictions/a%2Fb", "../../balance": "/v3/predictions/..%2F..%2Fbalance",
		"a?b=c#d": "/v3/predictions/a%3Fb=c%23d", "%2F": "/v3/predictions/%252F", "ü 1": "/v3/predictions/%C3%BC%201", "a\r\nb": "/v3/predictions/a%0D%0Ab",
		"...": "/v3/predictions/...",
	} {
		_, err := c.result(t, id)
		require.NoError(t, err, id)
		require.Equal(t, uri, a.requests[len(a.requests)-1].RequestURI, id)
	}
	asked := a.seen()
	for _, id := range []string{"", ".", "..", strings.Repeat("x", 257)} {
		_, err := c.result(t, id)
		require.Error(t, err)
	}
	require.Equal(t, asked, a.seen())
}

func TestWhatIsNoResult(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("sorry ", 100)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		words  string
	}{
		"HTML":               {says(200, "text/html", "<html>"), "with text/html, not with JSON"},
		"HTML as JSON":       {saysJSON("<html>"), "no JSON object"},
		"truncated":          {saysJSON(`{"code":200,"data":{"id":"a"`), "cannot be read"},
		"two objects":        {saysJSON(`{"data":{}}{"data":{}}`), "something behind"},
		"a name twice":       {saysJSON(`{"data":{"id":"a","id":"b"}}`), "duplicate"},
		"not UTF-8":          {saysJSON("{\"data\":{\"id\":\"\xff\"}}"), "UTF-8"},
		"null":               {saysJSON(`null`), "no JSON object"},
		"null data":          {saysJSON(`{"code":200,"message":"success","data":null}`), "no prediction in the answer: success"},
		"a list":             {saysJSON(`{"code":200,"data":[{}]}`), "no prediction"},
		"an error in 200":    {saysJSON(`{"code":500,"message":"` + long + `","data":null}`), "it answered 500: sorry"},
		"a task code":        {saysJSON(`{"code":1400,"message":"bad\u0000\nparameter\u202e","data":{}}`), "it answered 1400: bad  parameter"},
		"an error of v1":     {saysJSON(`{"code":401,"error":"who?"}`), "it answered 401: who? Check sources.get3w.api.key"},
		"401":                {says(401, "application/json", `{"code":401,"message":"no `+apiKey+`","data":null}`), "it answered 401: no [censored]. Check sources.get3w.api.key"},
		"401 in sentences":   {says(401, "application/json", `{"code":401,"message":"Invalid key. Please check.","data":null}`), "it answered 401: Invalid key. Please check. Check sources.get3w.api.key"},
		"403":                {says(403, "text/plain", `go away`), "Check sources.get3w.api.key"},
		"500":                {says(500, "text/html", `<html>`), "it answered 500"},
		"404 of a web page":  {says(404, "text/html", "<html>"), "check sources.get3w.api.base_url"},
		"no content":         {says(204, "application/json", ""), "no JSON object"},
		"cut off":            {cutOff, "asking the provider"},
		"no HTTP":            {garbage, "asking the provider"},
		"the key in a media": {says(200, "x/"+apiKey, "{}"), "x/[censored]"},
	} {
		got, err := client(t, serve(t, c.answer).URL, nil).result(t, "a")
		require.ErrorContains(t, err, c.words, name)
		require.Nil(t, got)
		require.NotErrorIs(t, err, ErrNoPrediction, name)
		require.Less(t, len(err.Error()), 2*maxMessage, name)
		for _, r := range err.Error() {
			require.GreaterOrEqual(t, r, ' ', name)
		}
	}
}

// garbage answers with bytes that are not HTTP and repeat the key.
func garbage(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte(r.Header.Get("Authorization") + "\r\n\r\n"))
		_ = conn.Close()
	}
}

func TestNotAtProvider(t *testing.T) {
	t.Parallel()
	for _, answer := range []http.HandlerFunc{
		says(404, "application/json", `{"code":404,"message":"no such prediction","data":null}`), says(404, "", ""),
		saysJSON(`{"code":404,"message":"no such prediction","data":null}`),
	} {
		_, err := client(t, serve(t, answer).URL, nil).result(t, "a")
		require.ErrorIs(t, err, ErrNoPrediction)
	}
}

func TestTryLater(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "99999": time.Hour, "9999999999999": time.Hour, "soon": 0, "Wed, 21 Oct 2065 07:28:00 GMT": time.Hour, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		for _, answer := range []http.HandlerFunc{says(429, "text/plain", "slow down"), says(503, "text/html", ""), saysJSON(`{"code":429,"message":"tier","data":null}`)} {
			_, err := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", value)
				answer(w, r)
			}).URL, nil).result(t, "a")
			var later *TryLaterError
			require.ErrorAs(t, err, &later)
			require.Equal(t, want, later.After, value)
		}
	}
}

// The key never reaches another host.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL+"/x?token=secret")
			w.WriteHeader(status)
		})
		c := client(t, a.URL, nil)
		_, err := c.result(t, "a")
		require.ErrorContains(t, err, strings.TrimPrefix(other.URL, "http://"))
		require.NotContains(t, err.Error(), "token=")
		_, err = c.submit(t)
		require.ErrorIs(t, err, ErrUnknownOutcome)
		require.ErrorContains(t, err, "is not followed")
		require.NotContains(t, err.Error(), "token=")
		require.Equal(t, 2, a.seen())
	}
	require.Zero(t, asked.Load())
}

// An endless answer is cut off and its connection closed.
func TestTooLargeAnswerIsLeft(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 2)
	a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		defer func() { left <- struct{}{} }()
		for range 50 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
		panic("all 50 MB were taken")
	})
	c := client(t, a.URL, func(cfg *Config) { cfg.MaxBody = 1 << 10 })
	_, err := c.result(t, "a")
	require.ErrorContains(t, err, "more than 1024 bytes")
	_, err = c.submit(t)
	require.ErrorIs(t, err, ErrUnknownOutcome)
	for range 2 {
		<-left
	}
	b := serve(t, saysJSON(`{"data":{"x":"`+strings.Repeat("x", 1<<10)+`"}}`))
	_, err = client(t, b.URL, func(cfg *Config) { cfg.MaxBody = 1 << 10 }).result(t, "a")
	require.ErrorContains(t, err, "more than 1024")
}

func TestSlowProvider(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		change func(*Config)
	}{
		"header": {hang, func(cfg *Config) { cfg.HeaderTimeout = 50 * time.Millisecond }},
		"whole":  {hang, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond }},
		"drip":   {drips, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond }},
	} {
		_, err := client(t, serve(t, c.answer).URL, c.change).result(t, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	a := serve(t, saysJSON(`{"data":{}}`))
	c := client(t, a.URL, func(cfg *Config) { cfg.Key = nil })
	require.False(t, c.HasKey())
	_, err := c.result(t, "a")
	require.ErrorIs(t, err, ErrNoKey)
	require.ErrorContains(t, err, "sources.get3w.api.key")
	var later *TryLaterError
	require.ErrorAs(t, err, &later, "nobody needs to ask again soon")
	_, err = c.submit(t)
	require.ErrorIs(t, err, ErrNoKey)
	require.Zero(t, a.seen())
	key := []byte(apiKey)
	require.NoError(t, c.SetKey(key))
	clear(key)
	_, err = c.result(t, "a")
	require.NoError(t, err)
	require.Equal(t, "Bearer "+apiKey, a.requests[0].Header.Get("Authorization"))
	for _, bad := range []string{"two words", "line\n", "ü", strings.Repeat("k", maxKey+1)} {
		err := c.SetKey([]byte(bad))
		require.Error(t, err)
		require.NotContains(t, err.Error(), bad)
		_, err = New(Config{BaseURL: a.URL, Key: []byte(bad)})
		require.Error(t, err)
	}
	for _, bad := range []string{"", "x", "ftp://x", "https://u:p@x", "https://x?q", "https://x#f"} {
		_, err := New(Config{BaseURL: bad})
		require.Error(t, err, bad)
	}
}

// A repeated key reaches nobody.
func TestRepeatedKeyIsCensored(t *testing.T) {
	t.Parallel()
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		saysJSON(`{"data":{"id":"a","status":"completed","error":"`+r.Header.Get("Authorization")+`"}}`)(w, r)
	})
	c := client(t, a.URL, nil)
	got, err := c.result(t, "a")
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"a","status":"completed","error":"Bearer [censored]"}`, string(got))
	res, err := c.submit(t)
	require.NoError(t, err)
	require.NotContains(t, string(res.Body), apiKey)
	require.NotContains(t, string(res.Object), apiKey)
}
