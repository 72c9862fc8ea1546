package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakeget3w"
)

var submitted = flag.Int("predictions", 300, "how many predictions TestNoPredictionGoesMissing submits")

// providerSpeed: a minute of the provider takes a second, unless a test says otherwise.
const providerSpeed = 60

const providerKey = "a-key-that-must-not-be-seen"

// world is a provider, a bridge, and between them an address that stays the same.
type world struct {
	t      *testing.T
	fake   *fakeget3w.Provider
	api    string // of the provider
	front  string // what the provider posts to
	bridge atomic.Pointer[url.URL]
	config string
	dir    string
}

func newWorld(t *testing.T, cfg fakeget3w.Config) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	cfg.Secret, cfg.Key, cfg.Speed = []byte(secret), []byte(providerKey), cmp.Or(cfg.Speed, providerSpeed)
	fake, err := fakeget3w.New(cfg)
	require.NoError(t, err)
	w.fake = fake
	api := httptest.NewServer(fake.Handler())
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(w.bridge.Load()) },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) {
			rw.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(func() { fake.Close(); front.Close(); api.Close() })
	w.api, w.front = api.URL+"/api/v3", front.URL
	host, _, err := net.SplitHostPort(strings.TrimPrefix(api.URL, "http://"))
	require.NoError(t, err)
	w.config = fmt.Sprintf(`
ingress: {listen: "127.0.0.1:0", public_url: %q}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 256MiB}}
sources:
  get3w:
    secrets: [env:GET3W_WEBHOOK_SECRET]
    query: [ref]
    api: {base_url: %q, key: "file:key", rate: 200/s, poll_after: 5s}
consumers:
  archive: {kind: archive, hosts: [%q], allow_private: true}
`, w.front, w.api, host)
	put(t, w.dir, "key", providerKey)
	return w
}

// serve starts the bridge that the provider's webhooks come to from now on.
func (w *world) serve() *program {
	w.t.Helper()
	p := serve(w.t, w.dir, w.config)
	to, err := url.Parse(strings.TrimSuffix(p.url(), "/webhooks/get3w"))
	require.NoError(w.t, err)
	w.bridge.Store(to)
	return p
}

// submit has the provider begin a prediction, as a service does by itself.
func (w *world) submit(n int) (id string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"prompt":"a lighthouse","webhook_url":"%s/webhooks/get3w?ref=order-%d"}`, w.front, n)
	req, err := http.NewRequest(http.MethodPost, w.api+"/get3w/flux-dev", strings.NewReader(body))
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+providerKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Data struct{ ID string } }
	require.NoError(w.t, json.NewDecoder(res.Body).Decode(&answer))
	require.NotEmpty(w.t, answer.Data.ID)
	return answer.Data.ID
}

// watch announces predictions, eight at once.
func (w *world) watch(p *program, ids []string) {
	w.t.Helper()
	c, err := client.New(p.ready.Admin, client.Options{})
	require.NoError(w.t, err)
	slots := make(chan struct{}, 8)
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, id := range ids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			_, err := c.Watch(context.Background(), bridge.Watch{
				Source: "get3w", Prediction: id, Model: "get3w/flux-dev", Deadline: time.Now().Add(time.Second), Reference: "order",
			})
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		require.NoError(w.t, *err)
	}
}

// states are what is known of predictions, by id; nil when they cannot be listed now.
func (p *program) states() map[string]adminapi.Prediction {
	out := map[string]adminapi.Prediction{}
	for cursor := ""; ; {
		var list adminapi.PredictionList
		code, stdout, _ := runVerb("--json", "predictions", "list", "--limit", "1000", "--cursor", cursor, "--api", p.ready.Admin)
		if code != 0 || json.Unmarshal([]byte(stdout), &list) != nil {
			return nil
		}
		for _, one := range list.Predictions {
			out[one.ID] = one
		}
		if cursor = list.Next; cursor == "" {
			return out
		}
	}
}

// Whatever becomes of its webhook, a prediction that was announced gets its end, once,
// and its outputs are kept: every third webhook is lost at the provider, and the bridge
// is gone for longer than the provider goes on.
func TestNoPredictionGoesMissing(t *testing.T) {
	t.Parallel()
	n := *submitted
	w := newWorld(t, fakeget3w.Config{
		Rules:      []fakeget3w.Rule{{Duration: 20 * time.Second, DropEvery: 3}},
		OutputLife: time.Hour, OutputBytes: 1 << 10, Senders: 8,
	})
	p := w.serve()
	var ids []string
	for i := range n / 2 {
		ids = append(ids, w.submit(i))
	}
	w.watch(p, ids)
	require.Eventually(t, func() bool { return w.fake.Totals().Delivered >= n/4 }, patience, 10*time.Millisecond)
	p.kill()
	for i := range n / 10 { // in the outage
		ids = append(ids, w.submit(n/2+i))
	}
	require.NoError(t, w.fake.Settled(t.Context()), "the provider has given every webhook up that it could not deliver")
	p = w.serve()
	w.watch(p, ids[n/2:])
	for i := range n - len(ids) {
		ids = append(ids, w.submit(n/2+n/10+i))
	}
	w.watch(p, ids[n/2+n/10:])

	var states map[string]adminapi.Prediction
	require.Eventually(t, func() bool {
		states = p.states()
		kept := 0
		for _, s := range states {
			if !s.Open && s.Outputs > 0 && s.Stored == s.Outputs {
				kept++
			}
		}
		return kept == n
	}, 4*patience, 100*time.Millisecond, p.logs)

	polls := map[string]int{}
	for _, one := range w.fake.Predictions() {
		polls[one.ID] = one.Polls
	}
	ends := map[string]int{}
	for _, m := range p.events() {
		if subject := m.Headers().Get("ce-subject"); m.Headers().Get("ce-type") == "com.get3w.prediction.completed.v1" {
			ends[subject]++
		}
	}
	by := map[string]int{}
	for _, id := range ids {
		s, ok := states[id]
		require.True(t, ok, id)
		require.Equal(t, bridge.StatusCompleted, s.Status)
		require.Equal(t, 1, ends[id], "%s is in the stream once", id)
		by[s.Origin]++
		if s.Origin == bridge.OriginWebhook {
			require.Zero(t, polls[id], "a webhook came for %s, nobody need ask", id)
			continue
		}
		require.LessOrEqual(t, polls[id], 3)
	}
	t.Logf("%d expected, %d by webhook, %d by poll, %d missing", n, by[bridge.OriginWebhook], by[bridge.OriginPoll], n-by[bridge.OriginWebhook]-by[bridge.OriginPoll])
	require.Len(t, ends, n)
	require.Equal(t, n, by[bridge.OriginWebhook]+by[bridge.OriginPoll])
	require.GreaterOrEqual(t, by[bridge.OriginPoll], n/3)
	require.Positive(t, by[bridge.OriginWebhook])
	require.NotContains(t, p.logs.String(), providerKey)
}
