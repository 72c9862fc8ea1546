package forward

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that must happen.
const patience = time.Minute

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// newEvent has something in every attribute that has to be encoded.
func newEvent(id string) *bridge.Event {
	body := []byte(`{"id":"p","status":"completed","outputs":["https://cdn.example/ü.png"],"n":12345678901234567890}` + "\n")
	return &bridge.Event{
		ID:           bridge.NewEventID(id, bridge.StatusCompleted, body),
		Source:       "get3w",
		Type:         "com.get3w.prediction.completed.v1",
		PredictionID: id,
		Model:        "black forest \"labs\"/flüx-100%",
		Status:       bridge.StatusCompleted,
		RawStatus:    "succeeded",
		Origin:       bridge.OriginWebhook,
		Time:         time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
		ReceivedAt:   time.Date(2026, 1, 2, 3, 4, 6, 7, time.UTC),
		ContentType:  "application/json; charset=utf-8",
		Signature:    "sha256=00ff",
		TraceParent:  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Query:        map[string]string{"ref": "order 1 é"},
		Body:         body,
	}
}

// bundle is a forwarder that may post to loopback.
type bundle struct {
	*Forwarder
	t      *testing.T
	alarms *natstest.Alarms
	logs   *observer.ObservedLogs
}

func setup(t *testing.T, url string, change func(*Config)) *bundle {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	b := &bundle{t: t, alarms: &natstest.Alarms{}, logs: logs}
	cfg := Config{
		Name: "billing", URL: url, Secrets: [][]byte{[]byte(testSecret)}, AllowPrivate: true,
		Alarms: b.alarms, Logger: slog.New(zapslog.NewHandler(core)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	b.Forwarder, err = New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func (b *bundle) handle() error { return b.Handle(context.Background(), newEvent("pred_1")) }

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// answering always answers the status.
func answering(t testing.TB, status int) *httptest.Server {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// got is one request as a target has it.
type got struct {
	header http.Header
	body   []byte
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("it never happened")
		panic("unreachable")
	}
}
