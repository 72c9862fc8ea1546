package watches_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/watches"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func onlyGet3w(source string) bool { return source == "get3w" }

type fails struct{ err error }

func (f fails) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{}, f.err
}

func TestAnnounceStoresAnEvent(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	a := watches.NewAnnouncer(b.Publisher(), onlyGet3w)
	w := bridge.Watch{Source: "get3w", Prediction: "a/b?c", Reference: "order 7"}
	r, id, err := a.Announce(t.Context(), w)
	require.NoError(t, err)
	require.Equal(t, bridge.Stored, r.Result)
	m, err := must(b.JS.Stream(t.Context(), b.Names.EventsStream())).GetMsg(t.Context(), r.Sequence)
	require.NoError(t, err)
	e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	require.NoError(t, err)
	require.Equal(t, id, e.ID)
	told, err := e.Watch()
	require.NoError(t, err)
	require.Equal(t, &w, told)
	r, again, err := a.Announce(t.Context(), w)
	require.NoError(t, err)
	require.Equal(t, bridge.Duplicate, r.Result)
	require.Equal(t, id, again)
	require.Equal(t, bridge.OriginWatch, e.Origin, "of those who may speak for the bridge")

	_, _, err = a.Announce(t.Context(), bridge.Watch{Source: "other", Prediction: "a"})
	require.ErrorIs(t, err, adminapi.ErrNoSource)
	_, _, err = a.Announce(t.Context(), bridge.Watch{Source: "get3w", Prediction: ".."})
	require.ErrorContains(t, err, "no prediction id")
	require.EqualValues(t, 1, b.Messages(t, b.Names.EventsStream()))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// serve runs a service on p and returns its server and a connection of user app.
func serve(t *testing.T, p func(*streamtest.Bench) watches.Publisher) (b *streamtest.Bench, app *nats.Conn, log *observer.ObservedLogs) {
	t.Helper()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	b = streamtest.Start(t, cfg)
	core, log := observer.New(zap.DebugLevel)
	s := watches.NewService(b.JS, watches.NewAnnouncer(p(b), onlyGet3w), watches.Config{Alarms: b.Alarms, Logger: zap.New(core)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	app = b.App().Conn()
	require.Eventually(t, func() bool {
		_, err := app.Request(b.Names.WatchRequests("nobody"), nil, patience)
		return err == nil
	}, patience, time.Millisecond, "it listens")
	return b, app, log
}

func ask(t *testing.T, app *nats.Conn, subject, body string) (a watches.Answer) {
	t.Helper()
	m, err := app.Request(subject, []byte(body), patience)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(m.Data, &a), "%s", m.Data)
	return a
}

// Programs of other teams announce by NATS.
func TestService(t *testing.T) {
	t.Parallel()
	b, app, log := serve(t, func(b *streamtest.Bench) watches.Publisher { return b.Publisher() })
	subject := b.Names.WatchRequests("get3w")
	a := ask(t, app, subject, `{"prediction":"pred_1","reference":"order 7","deadline":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	require.Nil(t, a.Error)
	require.Equal(t, bridge.Stored, a.Result)
	require.True(t, strings.HasPrefix(a.ID, "pred_1/watch/"), a.ID)
	require.Equal(t, bridge.Stored, ask(t, app, subject, `{"prediction":"pred_2"}`).Result)
	require.Equal(t, bridge.Duplicate, ask(t, app, subject, `{"prediction":"pred_2"}`).Result)
	for body, why := range map[string]string{
		`{}`: "empty", `{"prediction":"."}`: "no prediction id", `{"prediction":"a","submitted":true}`: "unknown field", `[`: "JSON",
		`{"prediction":"` + strings.Repeat("x", 300) + `"}`: "at most 256", `{"prediction":"a"` + strings.Repeat(" ", 70_000) + `}`: "at most 65536",
	} {
		a := ask(t, app, subject, body)
		require.NotNil(t, a.Error, body)
		require.Equal(t, 400, a.Error.Code)
		require.Contains(t, a.Error.Description, why)
	}
	require.Equal(t, 404, ask(t, app, b.Names.WatchRequests("other"), `{"prediction":"a"}`).Error.Code)
	require.EqualValues(t, 2, b.Messages(t, b.Names.EventsStream()))
	m, err := must(b.JS.Stream(t.Context(), b.Names.EventsStream())).GetMsg(t.Context(), 1)
	require.NoError(t, err)
	e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	require.NoError(t, err)
	require.Equal(t, bridge.OriginClaim, e.Origin)

	// An answer never goes into a stream of Hookspan.
	require.NoError(t, b.NC.PublishRequest(subject, "hookspan.events.forged.prediction.completed.x", []byte(`{"prediction":"a"}`)))
	require.Eventually(t, func() bool { return log.FilterMessageSnippet("no inbox").Len() == 1 }, patience, time.Millisecond)
	require.EqualValues(t, 2, b.Messages(t, b.Names.EventsStream()))
}

// When the store does not take an announcement, the answer does not say how it failed.
func TestServiceWhenNothingCanBeStored(t *testing.T) {
	t.Parallel()
	b, app, _ := serve(t, func(*streamtest.Bench) watches.Publisher {
		return fails{errors.Join(bridge.ErrFull, errors.New("host 10.0.0.1"))}
	})
	a := ask(t, app, b.Names.WatchRequests("get3w"), `{"prediction":"a"}`)
	require.Equal(t, 503, a.Error.Code)
	require.NotContains(t, a.Error.Description, "10.0.0.1")
}

// A program that announces without end uses up only its own quota: others go on, an alarm
// says so, and the log is not filled.
func TestAnnouncementsHaveAQuota(t *testing.T) {
	t.Parallel()
	b, app, log := serve(t, func(b *streamtest.Bench) watches.Publisher { return b.Publisher() })
	subject := b.Names.WatchRequests("get3w")
	const programs = 32
	var refused atomic.Int64
	var flooding sync.WaitGroup
	for i := range programs {
		flooding.Go(func() {
			for n := 0; refused.Load() < 10*programs; n++ {
				m, err := app.Request(subject, fmt.Appendf(nil, `{"prediction":"made_up_%d_%d"}`, i, n), patience)
				var a watches.Answer
				if err != nil || json.Unmarshal(m.Data, &a) != nil {
					t.Error(err)
					return
				}
				if a.Error != nil && a.Error.Code == 429 {
					refused.Add(1)
				}
			}
		})
	}
	flooding.Wait()
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
	require.Equal(t, bridge.Stored, ask(t, b.App().Conn(), subject, `{"prediction":"of_another_program"}`).Result)
	require.Zero(t, log.FilterLevelExact(zap.ErrorLevel).Len(), "%v", log.All())
}

// A frequent problem that others cause is logged once a minute.
func TestLogIsNotFilledByOthers(t *testing.T) {
	t.Parallel()
	b, app, log := serve(t, func(*streamtest.Bench) watches.Publisher { return fails{bridge.ErrFull} })
	for n := range 100 {
		require.Equal(t, 503, ask(t, app, b.Names.WatchRequests("get3w"), fmt.Sprintf(`{"prediction":"%d"}`, n)).Error.Code)
	}
	require.Equal(t, 1, log.FilterMessage("a prediction cannot be announced").Len())
}
