package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakeget3w"
)

// A prediction that the bridge submits ends by its webhook, and waiting requests learn of that;
// it is paid for once, also when a process dies in between.
func TestSubmittedAndAwaited(t *testing.T) {
	t.Parallel()
	// The provider tries a webhook again for half a minute of the clock, in which the bridge
	// is started again.
	w := newWorld(t, fakeget3w.Config{Speed: 3, Rules: []fakeget3w.Rule{{Duration: 6 * time.Second}}})
	w.config = strings.Replace(w.config, "poll_after: 5s", "poll_after: 10m", 1)
	w.config = strings.Replace(w.config, "    query:", "    path_token: file:token\n    query:", 1)
	put(t, w.dir, "token", pathToken)
	p := w.serve()
	input := filepath.Join(w.dir, "input.json")
	require.NoError(t, os.WriteFile(input, []byte(`{"prompt":"a lighthouse"}`), 0o600))
	submit := []string{"predictions", "submit", "get3w/flux-dev", "--input", input, "--reference", "order 1", "--idempotency-key", "k", "--wait"}
	first, again := p.says(submit...), p.says(submit...)
	require.Len(t, w.fake.Predictions(), 1)
	one := w.fake.Predictions()[0]
	for _, outputs := range []string{first, again} { // at the provider, or in the archive by then
		require.Contains(t, outputs, one.ID)
	}
	require.Equal(t, w.front+"/webhooks/get3w/"+pathToken+"?ref=order%201", one.Webhook)
	var line adminapi.Timeline
	p.verb(&line, "predictions", "show", one.ID)
	require.Contains(t, p.says("predictions", "show", one.ID), `reference  "order 1"`)
	require.Equal(t, bridge.StatusCompleted, line.Prediction.Status)

	req := func(body, key string) *http.Request {
		r, err := http.NewRequest(http.MethodPost, p.ready.Admin+"/api/v1/predictions/get3w/get3w/flux-dev", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		return r
	}
	answer := func(r *http.Request) (int, string) {
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
	status, text := answer(req(`{"stream":true}`, "streamed"))
	require.Equal(t, 200, status)
	require.Equal(t, 1, strings.Count(text, `"status":"completed"`), text)
	require.NotContains(t, text, "event: error")

	// It is killed while the provider has the submission; the webhook makes it known.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if res, err := http.DefaultClient.Do(req(`{"enable_sync_mode":true}`, "killed")); err == nil {
			_ = res.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return len(w.fake.Predictions()) == 3 }, patience, 5*time.Millisecond)
	p.kill()
	<-gone
	p = w.serve()
	c, err := client.New(p.ready.Admin, client.Options{})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended, err := c.Await(ctx, "get3w", w.fake.Predictions()[2].ID)
	require.NoError(t, err)
	require.Equal(t, bridge.StatusCompleted, ended.Status)
	status, text = answer(req(`{"enable_sync_mode":true}`, "killed"))
	require.Equal(t, http.StatusConflict, status, text)
	require.Len(t, w.fake.Predictions(), 3, "it is not paid for again")
	for _, made := range w.fake.Predictions() {
		require.Zero(t, made.Polls, "their webhooks came")
	}
	require.Equal(t, 0, p.stop(), p.logs)
	for _, hidden := range []string{providerKey, pathToken} {
		require.NotContains(t, p.logs.String(), hidden)
	}
}
