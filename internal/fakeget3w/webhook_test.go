package fakeget3w

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/signing"
)

func TestWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Rules = []Rule{{Model: "fails/*", FailEvery: 1}, {Outputs: []string{".png", ".mp4"}}}
	})
	for model, want := range map[string]string{
		"get3w/flux-dev": `{"id":"pred_abc123","model":"get3w/flux-dev","status":"completed",` +
			`"outputs":["https://api.get3w.com/outputs/pred_abc123-0.png?signed","https://api.get3w.com/outputs/pred_abc123-1.mp4?signed"],` +
			`"timings":{"inference":2500},` +
			`"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}`,
		"fails/model": `{"id":"pred_abc123","model":"fails/model","status":"failed","error":"the model ran into an error",` +
			`"timings":{"inference":2500},` +
			`"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}`,
	} {
		address, arrived := receiver(t, http.StatusOK)
		id := b.submit(model, `{"webhook_url":"`+address+`"}`)
		b.settle()
		require.Len(t, arrived, 1)
		got := <-arrived
		require.Equal(t, want, b.plain(string(got.body)))
		require.Equal(t, "application/json", got.header.Get("Content-Type"))
		require.Regexp(t, `^[0-9a-f]{64}$`, got.header.Get("X-Get3W-Signature"))
		require.True(t, signing.Verify(got.header.Get(signing.Header), got.body, []byte(testSecret)))

		data := b.call(http.MethodGet, "/api/v3/predictions/"+id, "").body
		if model == "get3w/flux-dev" {
			require.NotEqual(t, aQuery.FindString(string(got.body)), aQuery.FindString(data), "each answer signs addresses anew")
		}
	}
}

func TestWebhookInTheQuery(t *testing.T) {
	t.Parallel()
	address, arrived := receiver(t, http.StatusNoContent)
	other, none := receiver(t, http.StatusNoContent)
	b := setup(t, nil)
	b.submit("get3w/flux-dev?webhook="+url.QueryEscape(address), `{}`)
	b.settle()
	require.Len(t, arrived, 1)
	b.submit("get3w/flux-dev?webhook="+url.QueryEscape(other), `{"webhook_url":"`+address+`"}`)
	b.settle()
	require.Len(t, arrived, 2, "the body counts first")
	require.Empty(t, none)
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers   []int
		want      []int
		abandoned bool
	}{
		"taken at once":        {[]int{204}, []int{204}, false},
		"the second time":      {[]int{500, 200}, []int{500, 200}, false},
		"the last time":        {[]int{404, 503, 301, 299}, []int{404, 503, 301, 299}, false},
		"abandoned":            {[]int{500}, []int{500, 500, 500, 500}, true},
		"redirects are no end": {[]int{307}, []int{307, 307, 307, 307}, true},
	} {
		t.Run(name, func(t *testing.T) {
			address, arrived := receiver(t, c.answers...)
			b := setup(t, nil)
			id := b.submit("get3w/flux-dev", `{"webhook_url":"`+address+`"}`)
			b.settle()
			require.Len(t, arrived, len(c.want))
			one := b.seen(id)
			var got []int
			for i, a := range one.Attempts {
				got = append(got, a.Status)
				require.Empty(t, a.Error)
				require.False(t, i > 0 && a.At.Before(one.Attempts[i-1].At))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.abandoned, one.Abandoned)
			totals := b.Totals()
			require.Equal(t, len(c.want), totals.Attempts)
			require.Equal(t, 1, totals.Delivered+totals.Abandoned)
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	b := setup(t, nil)
	id := b.submit("get3w/flux-dev", `{"webhook_url":"`+gone.URL+`/secret-token"}`)
	b.settle()
	one := b.seen(id)
	require.Len(t, one.Attempts, 4)
	require.True(t, one.Abandoned)
	for _, a := range one.Attempts {
		require.Zero(t, a.Status)
		require.Contains(t, a.Error, "refused")
		require.NotContains(t, a.Error, "secret-token")
	}
}

// A missing answer is a failed attempt.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	n := make(chan int, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n <- 1
		if len(n) == 1 {
			<-release
		}
	}))
	defer srv.Close()
	defer close(release)
	b := setup(t, nil)
	id := b.submit("get3w/flux-dev", `{"webhook_url":"`+srv.URL+`"}`)
	b.settle()
	one := b.seen(id)
	require.Len(t, one.Attempts, 2)
	require.Zero(t, one.Attempts[0].Status)
	require.Contains(t, one.Attempts[0].Error, "deadline exceeded")
	require.Equal(t, http.StatusOK, one.Attempts[1].Status)
}

// A dropped webhook is never tried; all others arrive once.
func TestDropped(t *testing.T) {
	t.Parallel()
	const all, every = 300, 3
	address, arrived := receiver(t, http.StatusOK)
	b := setup(t, func(c *Config) { c.Rules = []Rule{{DropEvery: every}} })
	for range all {
		b.submit("get3w/flux-dev", `{"webhook_url":"`+address+`"}`)
	}
	b.settle()
	require.Len(t, arrived, all-all/every)
	got := map[string]int{}
	for range all - all/every {
		got[anID.FindString(string((<-arrived).body))]++
	}
	for i, one := range b.Predictions() {
		require.Equal(t, (i+1)%every == 0, one.Dropped)
		require.Equal(t, one.Dropped, got[one.ID] == 0)
		require.LessOrEqual(t, got[one.ID], 1)
		require.Equal(t, "completed", one.Status)
	}
	require.Equal(t, all/every, b.Totals().Dropped)
}

// A webhook that is dropped or deleted between two attempts has no further one.
func TestWithdrawnBetweenAttempts(t *testing.T) {
	t.Parallel()
	address, arrived := receiver(t, http.StatusInternalServerError)
	b := setup(t, func(c *Config) { c.Speed = 1 })
	dropped := b.submit("get3w/flux-dev", fmt.Sprintf(`{"webhook_url":%q}`, address))
	deleted := b.submit("get3w/flux-dev", fmt.Sprintf(`{"webhook_url":%q}`, address))
	for _, id := range []string{dropped, deleted} {
		b.end(id)
		require.Eventually(t, func() bool { return len(b.seen(id).Attempts) == 1 }, most, time.Millisecond)
	}
	require.True(t, b.Drop(dropped))
	require.Equal(t, http.StatusOK, b.call(http.MethodDelete, "/api/v3/predictions/"+deleted, "").status)
	b.mu.Lock()
	for _, id := range []string{dropped, deleted} {
		require.True(t, b.predictions[id].timer.Stop(), "the second attempt is ten seconds away")
		b.due <- b.predictions[id]
	}
	b.mu.Unlock()
	b.settle()
	require.Len(t, arrived, 2)
	require.Equal(t, 1, b.Totals().Dropped)
}

func TestDropAndDelete(t *testing.T) {
	t.Parallel()
	address, arrived := receiver(t, http.StatusOK)
	b := setup(t, func(c *Config) { c.Speed, c.Rules = 1, []Rule{{Duration: time.Hour}} })
	dropped := b.submit("get3w/flux-dev", fmt.Sprintf(`{"webhook_url":%q}`, address))
	deleted := b.submit("get3w/flux-dev", fmt.Sprintf(`{"webhook_url":%q}`, address))
	require.True(t, b.Drop(dropped))
	require.Equal(t, http.StatusOK, b.call(http.MethodDelete, "/api/v3/predictions/"+deleted, "").status)
	b.end(deleted)
	b.end(dropped)
	b.settle()
	require.Empty(t, arrived)
	require.Equal(t, "completed", b.seen(dropped).Status)
	require.Equal(t, "deleted", b.seen(deleted).Status)
	require.False(t, b.Drop(dropped), "there is none to come")
	require.False(t, b.Drop("pred_unknown"))
}
