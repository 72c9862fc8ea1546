package submit

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience  = 20 * time.Second
	pathToken = "path-token-not-to-be-seen"
	created   = `{"code":200,"message":"success","data":{"id":"pred_1","model":"get3w/flux-dev","status":"created","estimated_duration":52}}`
)

// rig is a submitter on a real server, with a provider that answers as told.
type rig struct {
	*streamtest.Bench
	*Submitter

	url    string
	posts  atomic.Int32
	logs   *observer.ObservedLogs
	mu     sync.Mutex
	bodies []string
	answer http.HandlerFunc
	// publish, unless nil, is called instead of storing an event.
	publish func(*bridge.Event) error
}

func setup(t *testing.T, answer http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{Bench: streamtest.Start(t, streamtest.Config()), answer: answer}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	r.Submitter = r.process(t, nil)
	return r
}

// process is another process that submits to the same provider and store.
func (r *rig) process(t *testing.T, change func(*Config)) *Submitter {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	client, err := provider.New(provider.Config{Source: "get3w", BaseURL: r.url + "/api/v3", Key: []byte("key"), MaxBody: 4 << 20, Timeout: patience})
	require.NoError(t, err)
	cfg := Config{
		Names: r.Names, PublicURL: "https://hooks.example.com/", Publisher: publisher{r, r.Publisher()}, JetStream: r.JS,
		Tell: r.NC.Publish, Process: "test", Logger: zap.New(core), recordFor: 200 * time.Millisecond, nameFor: 200 * time.Millisecond,
		Source: func(name string) (Source, bool) {
			return Source{API: client, PathToken: []byte(pathToken), Query: []string{"ref", "tenant", "order"}}, name == "get3w"
		},
	}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	t.Cleanup(func() { s.Close(); client.Close() })
	return s
}

func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.bodies = append(r.bodies, string(body))
	answer := r.answer
	r.mu.Unlock()
	r.posts.Add(1)
	answer(w, req)
}

func (r *rig) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

type publisher struct {
	r    *rig
	next Publisher
}

func (p publisher) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	p.r.mu.Lock()
	instead := p.r.publish
	p.r.mu.Unlock()
	if instead != nil {
		if err := instead(e); err != nil {
			return bridge.Receipt{}, err
		}
	}
	return p.next.Publish(ctx, e)
}

func (r *rig) publishes(f func(*bridge.Event) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.publish = f
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// acceptsAndFails reads the whole request, then closes the connection.
func acceptsAndFails(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func submission(key string) adminapi.Submission {
	return adminapi.Submission{
		Source: "get3w", Model: "get3w/flux-dev", Body: []byte(`{"prompt":"a cat","seed":12345678901234567890}`),
		Reference: "order 1&é", Tenant: "team-a", Metadata: map[string]string{"order": "7/8"}, IdempotencyKey: key,
	}
}

func (r *rig) submitted(t *testing.T, sub adminapi.Submission) *bridge.Submitted {
	t.Helper()
	done, err := r.Submit(context.Background(), sub, nil)
	require.NoError(t, err)
	return done
}

func fails(t *testing.T, s *Submitter, sub adminapi.Submission) *adminapi.SubmitError {
	t.Helper()
	_, err := s.Submit(context.Background(), sub, nil)
	var failed *adminapi.SubmitError
	require.ErrorAs(t, err, &failed)
	require.NotEmpty(t, failed.Detail)
	require.NotContains(t, err.Error(), pathToken)
	return failed
}

// watches are the stored announcements.
func (r *rig) watches(t *testing.T) (out []*bridge.Watch) {
	t.Helper()
	ctx := context.Background()
	stream, err := r.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	for seq := range stream.CachedInfo().State.Msgs {
		m, err := stream.GetMsg(ctx, seq+1)
		require.NoError(t, err)
		e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
		require.NoError(t, err)
		w, err := e.Watch()
		require.NoError(t, err)
		out = append(out, w)
	}
	return out
}

// writes stores a record, as another process does.
func (r *rig) writes(t *testing.T, idempotencyKey, value string) {
	t.Helper()
	_, err := r.JS.PublishMsg(context.Background(), &nats.Msg{
		Subject: r.Names.PollsSubject(recordKey("get3w", idempotencyKey)), Data: []byte(value),
	}, jetstream.WithMsgTTL(time.Hour))
	require.NoError(t, err)
}

func (r *rig) count(result string) float64 {
	return testutil.ToFloat64(r.total.WithLabelValues("get3w", result))
}
