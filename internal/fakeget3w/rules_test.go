package fakeget3w

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRules(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Rules = []Rule{
			{Model: "missing/*", MissingEvery: 2},
			{Model: "cut/*", CutEvery: 2},
			{Model: "broken/*", ErrorEvery: 3},
			{Model: "*/text-to-image", FailEvery: 1},
		}
	})
	address, arrived := receiver(t, http.StatusOK)
	hook := `{"webhook_url":"` + address + `"}`
	first, second := b.submit("missing/model", hook), b.submit("missing/model", hook)
	b.settle()
	require.Len(t, arrived, 2)
	require.Equal(t, http.StatusOK, b.call(http.MethodGet, "/api/v3/predictions/"+first, "").status)
	require.Equal(t, http.StatusNotFound, b.call(http.MethodGet, "/api/v3/predictions/"+second, "").status)
	require.Equal(t, 1, b.seen(second).Polls)

	b.submit("cut/model", hook)
	_, err := b.do("Bearer "+testKey, http.MethodPost, "/api/v3/cut/model", hook) //nolint:bodyclose // there is none
	require.Error(t, err, "no answer")
	b.settle()
	require.Len(t, arrived, 4, "it was accepted all the same")
	require.Equal(t, 4, b.Totals().Submitted)

	for n := 1; n <= 6; n++ {
		a := b.call(http.MethodPost, "/api/v3/broken/model", hook)
		require.Equal(t, n%3 == 0, a.status == http.StatusInternalServerError)
	}
	b.settle()
	require.Equal(t, 8, b.Totals().Submitted)
	failed := b.submit("google/nano-banana-pro/text-to-image", `{}`)
	b.settle()
	require.Equal(t, "failed", b.seen(failed).Status)
	require.Equal(t, "completed", b.seen(first).Status, "rules count by themselves")
}

func TestTasks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Tasks, c.Rules = 2, []Rule{{Model: "never/*", NeverEvery: 1}} })
	b.submit("never/model", `{}`)
	stuck := b.submit("never/model", `{}`)
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{}`)
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.JSONEq(t, `{"code":429,"message":"concurrent task limit of your tier reached","data":null}`, a.body)
	require.Equal(t, Totals{Submitted: 2, Refused: 1, Limited: 1}, b.Totals())
	require.Equal(t, http.StatusOK, b.call(http.MethodDelete, "/api/v3/predictions/"+stuck, "").status)
	for range 3 { // ended ones do not count
		id := b.submit("get3w/flux-dev", `{}`)
		b.ended(id)
	}
}

// However many submissions come at once, no more than the limit run.
func TestTasksAtOnce(t *testing.T) {
	t.Parallel()
	const limit, all = 10, 100
	b := setup(t, func(c *Config) { c.Tasks, c.Rules = limit, []Rule{{NeverEvery: 1}} })
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() { b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{}`) })
	}
	wg.Wait()
	require.Equal(t, Totals{Submitted: limit, Refused: all - limit, Limited: all - limit}, b.Totals())
}

func TestCredits(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Credits = 1 })
	b.submit("get3w/flux-dev", `{}`)
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{}`)
	require.Equal(t, http.StatusForbidden, a.status)
	require.JSONEq(t, `{"code":403,"message":"insufficient balance","data":null}`, a.body)
}

// The prediction that ended first makes room, and one that has not ended never does.
func TestRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxPredictions, c.Rules = 3, []Rule{{Model: "never/*", NeverEvery: 1}} })
	never := b.submit("never/model", `{}`)
	var ids []string
	for range 4 {
		id := b.submit("get3w/flux-dev", `{}`)
		b.settle()
		ids = append(ids, id)
	}
	kept := b.Predictions()
	require.Len(t, kept, 3)
	require.Equal(t, []string{never, ids[2], ids[3]}, []string{kept[0].ID, kept[1].ID, kept[2].ID})
	require.Equal(t, http.StatusNotFound, b.call(http.MethodGet, "/api/v3/predictions/"+ids[0], "").status)
	b.submit("never/model", `{}`)
	b.submit("never/model", `{}`)
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{}`)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, http.StatusOK, b.call(http.MethodDelete, "/api/v3/predictions/"+never, "").status)
	b.submit("get3w/flux-dev", `{}`)
}

func TestInputs(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	long := make([]byte, maxInput)
	for i := range long {
		long[i] = 'a'
	}
	id := b.submit("get3w/flux-dev", `{"prompt":"`+string(long)+`"}`)
	b.settle()
	require.NotContains(t, b.call(http.MethodGet, "/api/v3/predictions/"+id, "").body, `"input"`)
	id = b.submit("get3w/flux-dev", `{"webhook_url":null,"stream":false,"n":12345678901234567890,"enable_sync_mode":false}`)
	b.settle()
	require.Contains(t, b.call(http.MethodGet, "/api/v3/predictions/"+id, "").body, `"input":{"n":12345678901234567890},`)
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.BaseURL = "https://fake.example/" })
	id := b.submit("get3w/flux-dev", `{}`)
	b.settle()
	a := b.call(http.MethodGet, "/api/v3/predictions/"+id, "")
	require.Contains(t, a.body, `"get":"https://fake.example/api/v3/predictions/`+id+`"`)
	require.Contains(t, a.body, `["https://fake.example/outputs/`+id+`-0.png?`)
}

func TestSettledEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Speed = 1; c.Rules = []Rule{{Duration: time.Hour}} })
	require.NoError(t, b.Settled(context.Background()), "nothing is to come")
	b.submit("get3w/flux-dev", `{}`)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, b.Settled(ctx), context.Canceled)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"base URL":          {BaseURL: "example.com"},
		"speed is -1":       {Speed: -1},
		"speed is NaN":      {Speed: math.NaN()},
		"tasks is -1":       {Tasks: -1},
		"credits is -1":     {Credits: -1},
		"output bytes":      {OutputBytes: -1},
		"output life":       {OutputLife: -1},
		"max predictions":   {MaxPredictions: -1},
		"senders":           {Senders: -1},
		"rule 1: duration":  {Rules: []Rule{{Duration: -1}}},
		"rule 2: a share":   {Rules: []Rule{{}, {DropEvery: -1}}},
		"rule 1: it has 17": {Rules: []Rule{{Outputs: make([]string, maxOutputs+1)}}},
		`".exe" is not`:     {Rules: []Rule{{Outputs: []string{".exe"}}}},
		"rule 1: model":     {Rules: []Rule{{Model: string(make([]byte, 2000))}}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func FuzzSubmission(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"prompt":"a"}`, `{"webhook_url":"https://h/w","stream":true,"enable_sync_mode":false}`, `{"webhook_url":null}`,
		`{"a":{"b":[1,2,{"c":"\u0000"}]}}`, `[]`, `{"stream":1}`, "{\"a\":\"\xff\"}", `{"webhook_url":"http://[::1]:99999"}`,
	} {
		f.Add([]byte(body), "")
		f.Add([]byte(body), "http://127.0.0.1:8080/webhooks/get3w?ref=1")
	}
	f.Fuzz(func(t *testing.T, body []byte, webhook string) {
		s, err := parseSubmission(body, webhook)
		if err != nil {
			failed, ok := err.(*apiError) //nolint:errorlint // it is never wrapped
			require.True(t, ok)
			require.Equal(t, http.StatusBadRequest, failed.Code)
			return
		}
		require.LessOrEqual(t, len(s.input), maxInput)
		require.LessOrEqual(t, len(s.webhook), maxWebhook)
		// The result reads as the same.
		if s.input != nil {
			again, err := parseSubmission(s.input, s.webhook)
			require.NoError(t, err)
			require.Equal(t, string(s.input), string(again.input), strconv.Quote(string(body)))
		}
		encode(object{Input: s.input})
	})
}
