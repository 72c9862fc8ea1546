package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/live"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/eventstream"
	"github.com/hookspan/hookspan/internal/natstest"
)

var errEnough = errors.New("enough")

// Everything that a live stream tells is as documented.
func TestLiveAPI(t *testing.T) {
	b := streamtest.Start(t, streamtest.Config())
	streams := live.New(b.JS, b.Names, func(string) (bridge.Filter, bool) { return bridge.Filter{}, false }, func(string, string) bool { return false }, zap.NewNop())
	t.Cleanup(streams.Close)
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterLive(api, streams) })
	// first returns the first event of that name; begun is called with the first one of all.
	first := func(path, name, lastID string, begun func()) (found eventstream.Event) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/api/v1"+path, nil)
		require.NoError(t, err)
		if lastID != "" {
			req.Header.Set("Last-Event-ID", lastID)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		require.Equal(t, 200, res.StatusCode)
		late := time.AfterFunc(time.Minute, func() { _ = res.Body.Close() })
		defer late.Stop()
		err = eventstream.Read(res.Body, 1<<20, func() {}, func(e eventstream.Event) error {
			if begun != nil {
				begun()
				begun = nil
			}
			if found = e; e.Name != name {
				return nil
			}
			return errEnough
		})
		require.ErrorIs(t, err, errEnough, "%s has no %s", path, name)
		return found
	}

	pub := b.Publisher()
	store := func(id string) {
		_, err := pub.Publish(t.Context(), natstest.Event(id))
		require.NoError(t, err)
	}
	store("a")
	var event adminapi.Event
	told := first("/events/live?source=get3w&status=completed&model=get3w/*&prediction=a&event=prediction&rate=200&last_event_id=0", adminapi.LiveEvent, "", nil)
	require.NoError(t, json.Unmarshal([]byte(told.Data), &event))
	require.Equal(t, "a", event.Prediction)
	var out adminapi.LeftOut
	require.NoError(t, json.Unmarshal([]byte(first("/events/live", adminapi.LiveGap, "99", nil).Data), &out))
	require.Equal(t, adminapi.GapAnew, out.Cause)
	sampled := first("/events/live?rate=1", adminapi.LiveSampled, "", func() {
		for i := range 50 {
			store("b" + string(rune('0'+i)))
		}
	})
	require.NoError(t, json.Unmarshal([]byte(sampled.Data), &out))
	require.NotZero(t, out.LeftOut)

	text, err := json.Marshal(bridge.Alarm{Kind: "quota", Text: "full", Subject: "x", Details: map[string]any{"n": 1}})
	require.NoError(t, err)
	_, err = b.JS.Publish(t.Context(), b.Names.Alarm("quota"), text)
	require.NoError(t, err)
	require.Contains(t, first("/alarms/live?kind=quota&subject=x", adminapi.LiveAlarm, "0", nil).Data, `"full"`)
	require.Contains(t, first("/alarms/live", adminapi.LiveGap, "99", nil).Data, adminapi.GapAnew)

	for path, status := range map[string]int{
		"/events/live?rate=0": 400, "/events/live?rate=201": 400, "/alarms/live?last_event_id=x": 400, "/events/live?status=*.>": 400, "/events/live?consumer=nobody": 404, "/events/live?consumer=A": 404,
	} {
		a := get(t, s, "/api/v1"+path)
		require.Equal(t, status, a.status, path)
		require.NotEmpty(t, a.detail(t))
	}
	streams.Close()
	for _, path := range []string{"/events/live", "/alarms/live"} {
		a := get(t, s, "/api/v1"+path)
		require.Equal(t, 503, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
}
