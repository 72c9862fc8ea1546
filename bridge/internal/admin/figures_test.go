package admin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// asked keeps what was asked of figures.
type asked struct {
	dead   adminapi.DeadSelection
	models adminapi.ModelSelection
	alarms adminapi.AlarmSelection
	err    error
}

func (a *asked) DeadGroups(_ context.Context, sel adminapi.DeadSelection) (adminapi.DeadGroupList, error) {
	a.dead = sel
	group := adminapi.DeadGroup{Consumer: sel.Consumer, Cause: bridge.DeadRefused, Error: "<b>\x00\u202e", Histogram: adminapi.Histogram{StepSeconds: 1, Counts: make([]int64, 20)}}
	return adminapi.DeadGroupList{Groups: []adminapi.DeadGroup{group}, Listed: adminapi.Listed{Next: "n"}}, a.err
}

func (a *asked) Models(_ context.Context, sel adminapi.ModelSelection) (adminapi.ModelList, error) {
	a.models = sel
	return adminapi.ModelList{Models: []adminapi.Model{{Source: "get3w", Model: "google/x", FailingChange: new(float64), Errors: []adminapi.ModelError{{Error: "#", Count: 1}}}}}, a.err
}

func (a *asked) Alarms(_ context.Context, sel adminapi.AlarmSelection) (adminapi.AlarmList, error) {
	a.alarms = sel
	return adminapi.AlarmList{Alarms: []adminapi.Alarm{{Seq: 1, Alarm: bridge.Alarm{Kind: "clock", Subject: "x", Details: map[string]any{"n": 1}}, Active: true}}}, a.err
}

func (a *asked) Status(context.Context) (adminapi.Status, error) {
	return adminapi.Status{
		State: adminapi.StatusFailing, Problems: []adminapi.Problem{{State: adminapi.StatusFailing, Kind: "journal_full"}},
		AcceptedPerMinute: make([]int64, 60), Journal: &adminapi.StatusJournal{}, Unknown: []string{"alarms"},
	}, a.err
}

func (a *asked) ConsumerHistory(_ context.Context, name string) (adminapi.ConsumerHistory, error) {
	return adminapi.ConsumerHistory{
		Backlog:  []adminapi.Backlog{{At: time.Now(), Pending: 3}},
		Attempts: adminapi.AttemptCounts{Count: 1, Verdicts: map[string]int{name: 1}, P50: 0.04, P95: 0.04, Since: time.Now()},
	}, a.err
}

func TestFiguresAPI(t *testing.T) {
	a := &asked{}
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterFigures(api, a) })
	groups := ask[adminapi.DeadGroupList](t, s, "/dead/groups?consumer=team&cause=refused&limit=5&cursor=x", "")
	require.Equal(t, adminapi.DeadSelection{Consumer: "team", Cause: bridge.DeadRefused, Cursor: "x", Limit: 5}, a.dead)
	require.Equal(t, "<b>\x00\u202e", groups.Groups[0].Error)
	require.Equal(t, "n", groups.Next)
	require.Equal(t, adminapi.StatusFailing, ask[adminapi.Status](t, s, "/status", "").State)

	require.Equal(t, map[string]int{"team": 1}, ask[adminapi.ConsumerHistory](t, s, "/consumers/team/history", "").Attempts.Verdicts)
	ask[adminapi.ModelList](t, s, "/models", "")
	require.Equal(t, adminapi.ModelSelection{Since: 24 * time.Hour, Limit: 100}, a.models)
	ask[adminapi.ModelList](t, s, "/models?since=7d&order=newest&model=google/*&source=get3w", "")
	require.Equal(t, adminapi.ModelSelection{Since: 7 * 24 * time.Hour, Model: "google/*", Source: "get3w", Newest: true, Limit: 100}, a.models)
	for text, since := range map[string]time.Duration{"90m": 90 * time.Minute, "1m": time.Minute, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute} {
		ask[adminapi.ModelList](t, s, "/models?since="+text, "")
		require.Equal(t, since, a.models.Since)
	}
	ask[adminapi.AlarmList](t, s, "/alarms?active=true&kind=clock&subject=x", "")
	require.Equal(t, adminapi.AlarmSelection{Kind: "clock", Subject: "x", Active: true, Limit: 100}, a.alarms)

	for path, why := range map[string]string{
		"/models?since=0": "since is", "/models?since=59s": "since is", "/models?since=31d": "since is", "/models?since=999999999999d": "since is", "/models?since=-1h": "since is",
		"/models?since=yesterday": "since is", "/models?since=" + strings.Repeat("9", 1<<12) + "h": "since is", "/models?since=1e9h": "since is", "/models?since=" + url.QueryEscape("1d\x00"): "since is",
		"/models?order=sideways": "order is failing, which is the default, or newest", "/alarms?active=yes": "active is true or false", "/models?limit=0": "limit is", "/dead/groups?limit=1001": "limit is",
	} {
		got := do(t, s, http.MethodGet, "/api/v1"+path, "", nil)
		require.Equal(t, 400, got.status, path)
		require.Contains(t, got.detail(t), why)
	}
	for err, status := range map[error]int{adminapi.ErrCursor: 400, adminapi.ErrUnavailable: 503} {
		a.err = err
		for _, path := range []string{"/models", "/alarms", "/dead/groups"} {
			got := do(t, s, http.MethodGet, "/api/v1"+path, "", nil)
			require.Equal(t, status, got.status, path)
			require.NotEmpty(t, got.detail(t))
		}
	}
}
