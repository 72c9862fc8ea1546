package fakeget3w

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = "a secret of the sender"
	testKey    = "key-1"
	// most bounds how long a test waits.
	most = 30 * time.Second
	// fast makes the minute and a half of a webhook's retries pass at once.
	fast = 100_000
)

// bundle is a provider with its server.
type bundle struct {
	*Provider
	t   *testing.T
	url string
}

func setup(t *testing.T, change func(*Config)) *bundle {
	t.Helper()
	cfg := Config{Key: []byte(testKey), Secret: []byte(testSecret), Speed: fast, OutputLife: maxDuration}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	require.NoError(t, err)
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(func() {
		p.Close()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &bundle{p, t, srv.URL}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with the key; path may be a whole address.
func (b *bundle) call(method, path, body string) answer {
	b.t.Helper()
	return b.callAs("Bearer "+testKey, method, path, body)
}

func (b *bundle) callAs(authorization, method, path, body string) answer {
	b.t.Helper()
	res, err := b.do(authorization, method, path, body)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

func (b *bundle) do(authorization, method, path, body string) (*http.Response, error) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.url + path
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	b.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	require.NoError(b.t, err)
	req.Header.Set("Authorization", authorization)
	return http.DefaultClient.Do(req)
}

func (b *bundle) submit(model, body string) string {
	b.t.Helper()
	a := b.call(http.MethodPost, "/api/v3/"+model, body)
	require.Equal(b.t, http.StatusOK, a.status, a.body)
	var e struct{ Data struct{ ID string } }
	require.NoError(b.t, json.Unmarshal([]byte(a.body), &e))
	require.NotEmpty(b.t, e.Data.ID)
	return e.Data.ID
}

func (b *bundle) settle() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	require.NoError(b.t, b.Settled(ctx))
}

func (b *bundle) end(id string) {
	b.t.Helper()
	b.mu.Lock()
	one := b.predictions[id]
	if one.timer != nil {
		one.timer.Stop()
	}
	b.mu.Unlock()
	b.finish(one)
}

func (b *bundle) seen(id string) Prediction {
	b.t.Helper()
	one, ok := b.Prediction(id)
	require.True(b.t, ok)
	return one
}

type posted struct {
	header http.Header
	body   []byte
}

// receiver takes webhooks and answers the nth one with the nth status, the last one for all
// others.
func receiver(t *testing.T, statuses ...int) (address string, arrived chan posted) {
	t.Helper()
	arrived = make(chan posted, 1000)
	n := 0
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		<-turn
		status := statuses[min(n, len(statuses)-1)]
		n++
		turn <- struct{}{}
		arrived <- posted{r.Header, body}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/webhooks/get3w", arrived
}
