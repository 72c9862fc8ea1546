package fakeget3w

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStream(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Speed, c.Rules = 1, []Rule{{Model: "fails/*", Duration: 300 * time.Millisecond, FailEvery: 1}, {Duration: 300 * time.Millisecond}}
	})
	for model, last := range map[string]string{
		"get3w/flux-dev": `{"id":"pred_abc123","status":"completed","outputs":["https://api.get3w.com/outputs/pred_abc123-0.png?signed"]}`,
		"fails/model":    `{"id":"pred_abc123","status":"failed","error":"the model ran into an error"}`,
	} {
		address, arrived := receiver(t, http.StatusOK)
		a := b.call(http.MethodPost, "/api/v3/"+model, `{"stream":true,"webhook_url":"`+address+`"}`)
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, "text/event-stream", a.header.Get("Content-Type"))
		events := strings.Split(strings.TrimSuffix(a.body, "\n\n"), "\n\n")
		require.GreaterOrEqual(t, len(events), 2)
		require.Equal(t, `data: {"id":"pred_abc123","status":"processing","progress":0}`, b.plain(events[0]))
		require.Equal(t, "data: "+last, b.plain(events[len(events)-1]))
		for _, e := range events[:len(events)-1] {
			require.Regexp(t, `^data: \{"id":"pred_[0-9a-f]{20}","status":"processing","progress":0(\.[1-9])?\}$`, e)
		}
		b.settle()
		require.Len(t, arrived, 1, "a stream's webhook is sent as well")
	}
	require.Equal(t, 2, b.Totals().Streams)
}

// Each event is sent at once, and a client that disconnects ends only its stream.
func TestStreamThatIsLeft(t *testing.T) {
	t.Parallel()
	address, arrived := receiver(t, http.StatusOK)
	b := setup(t, func(c *Config) { c.Speed, c.Rules = 1, []Rule{{Duration: time.Hour}} })
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/api/v3/get3w/flux-dev", strings.NewReader(`{"stream":true,"webhook_url":"`+address+`"}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+testKey)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "processing")
	leave()
	b.end(b.Predictions()[0].ID)
	b.settle()
	require.Len(t, arrived, 1)
}

// Close ends a stream without an end.
func TestStreamWithoutEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Rules = []Rule{{NeverEvery: 1}} })
	res, err := b.do("Bearer "+testKey, http.MethodPost, "/api/v3/get3w/flux-dev", `{"stream":true}`)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	in := bufio.NewReader(res.Body)
	for range 2 * steps {
		_, err := in.ReadString('\n')
		require.NoError(t, err)
	}
	b.Close()
	for err == nil {
		_, err = in.ReadString('\n')
	}
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{}`)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
}

func TestSyncMode(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	a := b.call(http.MethodPost, "/api/v3/get3w/flux-dev", `{"prompt":"Cat","enable_sync_mode":true}`)
	require.JSONEq(t, `{"code":200,"message":"success","data":{"id":"pred_abc123","model":"get3w/flux-dev","status":"completed","input":{"prompt":"Cat"},`+
		`"outputs":["https://api.get3w.com/outputs/pred_abc123-0.png?signed"],"urls":{"get":"https://api.get3w.com/api/v3/predictions/pred_abc123"},`+
		`"timings":{"inference":2500},"created_at":"2024-01-01T12:00:00.000Z","completed_at":"2024-01-01T12:00:00.000Z"}}`, b.plain(a.body))
}
