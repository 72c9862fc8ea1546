package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/natstest"
)

// leastBackoff is the shortest time between two polls of one prediction: 30 s less a fifth, and
// less the time by which the first may travel longer than the second from its record to the
// provider.
const leastBackoff = 24*time.Second - 4*time.Second

// polls are the times of the polls that a provider got, by prediction.
type polls struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

// watched is the handler that records the polls.
func (p *polls) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutPrefix(r.URL.Path, "/api/v3/predictions/"); ok && r.Method == http.MethodGet {
			p.mu.Lock()
			p.times[id] = append(p.times[id], time.Now())
			p.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// polled is how many of the predictions were polled at least n times.
func (p *polls) polled(ids []string, n int) (count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if len(p.times[id]) >= n {
			count++
		}
	}
	return count
}

// shortest is the shortest time between two polls of one prediction, and the number of such
// pairs.
func (p *polls) shortest() (least time.Duration, pairs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	least = time.Hour
	for _, times := range p.times {
		for i := 1; i < len(times); i++ {
			least = min(least, times[i].Sub(times[i-1]))
			pairs++
		}
	}
	return least, pairs
}

// leads says the process's own metric.
func (p *program) leads() bool {
	_, text := p.admin("/metrics")
	return strings.Contains(text, "\nhookspan_predictions_leader 1\n")
}

// polls is how many polls the process has made, with any result.
func (p *program) polls() (n int) {
	p.t.Helper()
	_, text := p.admin("/metrics")
	for line := range strings.Lines(text) {
		var value int
		if strings.HasPrefix(line, "hookspan_predictions_polls_total{") {
			_, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value)
			require.NoError(p.t, err)
			n += value
		}
	}
	return n
}

// Of two processes one asks the provider. When it is killed the other one goes on
// within half a minute, and does not ask again what the first has just asked.
func TestTakeoverAsksNothingTwice(t *testing.T) {
	t.Parallel()
	const each = 40
	fake, err := fakeget3w.New(fakeget3w.Config{Secret: []byte(secret), Rules: []fakeget3w.Rule{{NeverEvery: 1}}})
	require.NoError(t, err)
	seen := &polls{times: map[string][]time.Time{}}
	api := httptest.NewServer(seen.watched(fake.Handler()))
	t.Cleanup(func() { fake.Close(); api.Close() })
	x := natstest.NewExternal(t, nil)
	x.Start()
	config := fmt.Sprintf(`
admin: {listen: "127.0.0.1:0"}
ingress: {listen: "127.0.0.1:0"}
nats: {url: %q}
sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {base_url: "%s/api/v3", key: "file:key", rate: 200/s, poll_after: 100ms}}}
consumers: {archive: {enabled: false}}
`, x.URL(), api.URL)
	begin := func() *program {
		dir := t.TempDir()
		put(t, dir, "key", providerKey)
		return serve(t, dir, config)
	}
	first := begin()
	require.Eventually(t, first.leads, patience, 10*time.Millisecond)
	second := begin()
	w := &world{t: t, api: api.URL + "/api/v3", front: strings.TrimSuffix(second.url(), "/webhooks/get3w")}
	announce := func() (ids []string) {
		for i := range each {
			ids = append(ids, w.submit(i))
		}
		w.watch(second, ids)
		return ids
	}

	before := announce()
	require.Eventually(t, func() bool { return seen.polled(before, 1) == each }, patience, 10*time.Millisecond, first.logs)
	require.Eventually(t, func() bool { return first.polls() == each }, patience, 10*time.Millisecond)
	require.False(t, second.leads())
	require.Zero(t, second.polls())

	first.kill()
	killed := time.Now()
	after := announce()
	require.Eventually(t, second.leads, patience, 10*time.Millisecond, second.logs)
	t.Logf("the other one leads %v after the kill", time.Since(killed).Round(time.Millisecond))
	require.Eventually(t, func() bool { return seen.polled(after, 1) == each }, patience, 10*time.Millisecond, second.logs)
	// Predictions that the killed process polled are polled again, in their time.
	require.Eventually(t, func() bool { return seen.polled(before, 2) == each }, 2*patience, 50*time.Millisecond, second.logs)

	least, pairs := seen.shortest()
	t.Logf("%d polls were second ones, the earliest %v after the first", pairs, least.Round(time.Millisecond))
	require.GreaterOrEqual(t, least, leastBackoff)
	require.Eventually(t, func() bool { return second.polls() >= 2*each }, patience, 10*time.Millisecond)
	var status adminapi.ViewStatus
	_, text := second.admin("/api/v1/view")
	require.NoError(t, json.Unmarshal([]byte(text), &status))
	require.Equal(t, 2*each, status.Sources["get3w"].Open)
	require.Equal(t, exitDone, second.stop())
}
