package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// later sends a request whose answer must come in time.
func (b *predictionsBench) later(path string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		a := answer{}
		if res, err := http.Get("http://" + b.Addr().String() + "/api/v1/predictions" + path); err == nil {
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			a = answer{res.StatusCode, res.Header, string(text)}
		}
		done <- a
	}()
	return done
}

// listened returns when somebody waits: the stream of events has a consumer.
func (b *predictionsBench) listened() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		s, err := b.JS.Stream(context.Background(), b.Names.EventsStream())
		return err == nil && s.CachedInfo().State.Consumers > 0
	}, patience, time.Millisecond)
}

func TestLongPoll(t *testing.T) {
	b := startPredictions(t)
	b.fold(b.tell("a", "processing"))
	s := b.get("/get3w/a?wait=1ms").state(t)
	require.True(t, s.Open(), "the end of the wait tells what is known")
	done, unknown := b.later("/get3w/a?wait=1m"), b.later("/get3w/unknown?wait=1m")
	require.Eventually(t, func() bool { return b.hubWaits() == 2 }, patience, time.Millisecond)
	b.listened()
	b.tell("a", "completed")
	s = (<-done).state(t)
	require.Equal(t, "completed", s.Status)
	require.Equal(t, bridge.CustodyExpired, s.Outputs[0].Custody)
	require.Equal(t, 200, b.put("get3w/unknown", "{}").status)
	b.tell("unknown", "failed")
	require.Equal(t, "failed", (<-unknown).state(t).Status, "it was announced in a moment")
	require.Equal(t, 404, b.get("/get3w/nobody?wait=1ms").status)
}

// A prediction that ended long ago is found while the request waits.
func TestLongPollLooksBack(t *testing.T) {
	b := startPredictions(t)
	b.tell("a", "completed")
	require.Equal(t, "completed", b.get("/get3w/a?wait=1m").state(t).Status)
}

// Waiting requests do not count among the closely bounded ones.
func TestWaitingIsBoundedByItself(t *testing.T) {
	b := startPredictions(t)
	const n = 600 // more than other requests and their connections may be
	b.fold(b.tell("a", "processing"))
	var waiting []<-chan answer
	for range n {
		waiting = append(waiting, b.later("/get3w/a?wait=1m"))
	}
	require.Eventually(t, func() bool { return b.hubWaits() == n }, patience, time.Millisecond)
	require.Equal(t, 200, b.get("/get3w/a").status)
	require.Equal(t, 200, b.get("").status)
	b.fold(b.tell("a", "completed"))
	for _, w := range waiting {
		require.Equal(t, "completed", (<-w).state(t).Status)
	}
}

// One wait too many is refused with a Retry-After, and other requests are served.
func TestOneTooManyToWait(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	s.SetMaxWaiting(1)
	b := onNATS(t, s)
	run(t, s)
	b.fold(b.tell("a", "processing"))
	first := b.later("/get3w/a?wait=1m")
	require.Eventually(t, func() bool { return b.hubWaits() == 1 }, patience, time.Millisecond)
	for _, path := range []string{"/get3w/a?wait=1m", "/get3w/a/events"} {
		a := b.get(path)
		require.Equal(t, 503, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	require.Equal(t, 200, b.get("/get3w/a").status)
	b.fold(b.tell("a", "completed"))
	require.Equal(t, "completed", (<-first).state(t).Status)
	require.Eventually(t, func() bool { return b.get("/get3w/a?wait=1ms").status == 200 }, patience, time.Millisecond)
}

type busy struct{}

func (busy) Wait(context.Context, string, string) (*bridge.PredictionState, error) {
	return nil, adminapi.ErrBusy
}

func (busy) Follow(context.Context, string, string, func(bridge.PredictionUpdate) error) error {
	return adminapi.ErrBusy
}

func TestTooManyWait(t *testing.T) {
	b := startPredictions(t)
	b.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, b.known, busy{}, nil) })
	for _, path := range []string{"/get3w/a?wait=1s", "/get3w/a/events"} {
		a := b.get(path)
		require.Equal(t, 503, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
		require.Contains(t, a.detail(t), "try again")
	}
}

// The end of the process answers the waits at once.
func TestStopAnswersThoseWhoWait(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	b := onNATS(t, s)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.fold(b.tell("a", "processing"))
	stream := b.follow(t.Context(), "/get3w/a")
	require.Equal(t, "state", stream.next()["event"])
	known, unknown := b.later("/get3w/a?wait=5m"), b.later("/get3w/b?wait=5m")
	require.Eventually(t, func() bool { return b.hubWaits() == 3 }, patience, time.Millisecond)
	cancel()
	require.True(t, (<-known).state(t).Open())
	require.Equal(t, 503, (<-unknown).status)
	_, err = stream.in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, <-done)
}

// unread waits and learns nothing, like a waiter whose first read has not ended.
type unread struct{ begun chan struct{} }

func (u unread) Wait(ctx context.Context, _, _ string) (*bridge.PredictionState, error) {
	close(u.begun)
	<-ctx.Done()
	return nil, ctx.Err()
}

func (u unread) Follow(context.Context, string, string, func(bridge.PredictionUpdate) error) error {
	return adminapi.ErrBusy
}

func TestStopAnswersWhatHasNotBeenReadYet(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	b, u := onNATS(t, s), unread{begun: make(chan struct{})}
	b.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, b.known, u, nil) })
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.fold(b.tell("a", "processing"))
	known := b.later("/get3w/a?wait=5m")
	<-u.begun
	cancel()
	require.True(t, (<-known).state(t).Open())
	require.NoError(t, <-done)
}

// hubWaits is how many requests have reached the hub, which tells each that its wait is
// over.
func (b *predictionsBench) hubWaits() int { return b.hub.Waiting() }

// events reads Server-Sent Events from a connection of its own.
type events struct {
	t   *testing.T
	res *http.Response
	in  *bufio.Reader
}

func (b *predictionsBench) follow(ctx context.Context, path string) *events {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.Addr().String()+"/api/v1/predictions"+path+"/events", nil)
	require.NoError(b.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(b.t, 200, res.StatusCode)
	require.Equal(b.t, "text/event-stream", res.Header.Get("Content-Type"))
	return &events{b.t, res, bufio.NewReader(res.Body)}
}

// next returns the fields of the next event.
func (e *events) next() map[string]string {
	e.t.Helper()
	fields := map[string]string{}
	for {
		line, err := e.in.ReadString('\n')
		require.NoError(e.t, err)
		if line = strings.TrimSuffix(line, "\n"); line == "" && len(fields) > 0 {
			return fields
		}
		if name, value, ok := strings.Cut(line, ": "); ok {
			fields[name] = value
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	b := startPredictions(t)
	b.fold(b.tell("a/b", "created"))
	e := b.follow(t.Context(), "/get3w/a%2Fb")
	first := e.next()
	require.Equal(t, []string{"state", "1"}, []string{first["event"], first["id"]})
	text, err := json.Marshal(bridge.Progress{Progress: 0.5})
	require.NoError(t, err)
	require.NoError(t, b.NC.Publish(b.Names.Progress("get3w", "a/b"), text))
	progress := e.next()
	require.Equal(t, "progress", progress["event"])
	require.JSONEq(t, string(text), progress["data"])
	b.tell("a/b", "completed")
	last := e.next()
	require.Equal(t, []string{"state", "2"}, []string{last["event"], last["id"]})
	var s bridge.PredictionState
	require.NoError(t, json.Unmarshal([]byte(last["data"]), &s))
	require.Equal(t, "completed", s.Status)
	require.Equal(t, bridge.CustodyExpired, s.Outputs[0].Custody)
	_, err = e.in.ReadByte()
	require.ErrorIs(t, err, io.EOF, "it ends after the end")

	require.Equal(t, "state", b.follow(t.Context(), "/get3w/a%2Fb").next()["event"], "by its events")
}

func TestClientThatGoesEndsItsWait(t *testing.T) {
	b := startPredictions(t)
	b.fold(b.tell("a", "created"))
	ctx, cancel := context.WithCancel(t.Context())
	b.follow(ctx, "/get3w/a").next()
	var gone sync.WaitGroup
	gone.Go(func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.Addr().String()+"/api/v1/predictions/get3w/a?wait=5m", nil)
		if err != nil {
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	})
	require.Eventually(t, func() bool { return b.hubWaits() == 2 }, patience, time.Millisecond)
	cancel()
	gone.Wait()
	require.Eventually(t, func() bool { return b.hubWaits() == 0 }, patience, time.Millisecond)
}

// The server's limits for short requests do not end a wait.
func TestWaitingOutlastsTheLimitsOfShortRequests(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	s.SetTimeouts(time.Millisecond)
	b := onNATS(t, s)
	run(t, s)
	b.fold(b.tell("a", "processing"))
	require.True(t, (<-b.later("/get3w/a?wait=300ms")).state(t).Open())
	stream := b.later("/get3w/a/events")
	require.Eventually(t, func() bool { return b.hubWaits() == 1 }, patience, time.Millisecond)
	require.True(t, (<-b.later("/get3w/a?wait=300ms")).state(t).Open())
	b.fold(b.tell("a", "completed"))
	require.Contains(t, (<-stream).body, `"status":"completed"`)
}
