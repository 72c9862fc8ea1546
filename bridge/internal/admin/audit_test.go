package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/audit"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// audited returns a server with an audit in a folder.
func audited(t *testing.T, tokens ...admin.Token) (s *admin.Server, changes *audit.Log, dir string) {
	t.Helper()
	dir = t.TempDir()
	changes = audit.New(dir, zap.NewNop())
	t.Cleanup(func() { require.NoError(t, changes.Close()) })
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0", Tokens: tokens}, admin.Deps{Metrics: prometheus.NewRegistry(), Audit: changes}, zap.NewNop())
	require.NoError(t, err)
	run(t, s)
	return s, changes, dir
}

// Every change leaves one line that tells who made it, of what and how many. What was only
// tried, asked or refused leaves none.
func TestEveryChangeLeavesALine(t *testing.T) {
	s, changes, _ := audited(t)
	operatedBy(t, s)
	lines := 0
	for _, c := range []struct {
		path, body, selection string
		status, count         int // count -1: no line
	}{
		{"/dead/redrive", `{"consumer":"team","dry_run":true}`, "", 200, -1},
		{"/dead/redrive", `{"consumer":"team","limit":1}`, `{"consumer":"team","limit":1}`, 200, 1},
		{"/dead/drop", `{"consumer":"team","dry_run":true}`, "", 200, -1},
		{"/dead/drop", `{"seqs":[2,3]}`, `{"seqs":[2,3]}`, 200, 2},
		{"/dead/drop", `{}`, "", 400, -1},
		{"/dead/drop", `{"consumer":"team","x":1}`, "", 400, -1},
		{"/events/replay", `{"consumer":"team","run":"r","seqs":[1,2]}`, `{"consumer":"team","run":"r","seqs":[1,2]}`, 200, 2},
		{"/events/replay", `{"consumer":"team","dry_run":true}`, "", 200, -1},
		{"/consumers/team/filter-skips", `{"statuses":["a"]}`, "", 200, -1},
		{"/consumers/team/pause", `{}`, "", 200, 1},
		{"/consumers/team/pause", `{"until":"2001-01-01T00:00:00Z"}`, "", 400, -1},
		{"/consumers/none/pause", `{}`, "", 404, -1},
		{"/consumers/team/resume", `{}`, "", 200, 1},
		{"/consumers/team/seek", `{"new":true,"dry_run":true}`, "", 200, -1},
		{"/consumers/team/seek", `{"new":true}`, `{"new":true}`, 200, 1},
		{"/consumers", `{"name":"other","statuses":["completed"]}`, `{"name":"other","statuses":["completed"],"lease_seconds":30,"max_deliveries":20}`, 200, 1},
		{"/consumers", `{"name":"other"}`, "", 409, -1},
		{"/consumers/other/remove", `{"dry_run":true}`, "", 200, -1},
		{"/consumers/other/remove", `{}`, "", 200, 1},
		{"/nothing", `{}`, "", 404, -1},
	} {
		a := do(t, s, http.MethodPost, "/api/v1"+c.path, c.body, map[string]string{"Content-Type": "application/json"})
		require.Equal(t, c.status, a.status, "%s %s %s", c.path, c.body, a.body)
		newest, _, _, err := changes.List(0, 100)
		require.NoError(t, err)
		if c.count < 0 {
			require.Len(t, newest, lines, "%s %s", c.path, c.body)
			continue
		}
		lines++
		require.Len(t, newest, lines, "%s %s", c.path, c.body)
		line := newest[0]
		require.Equal(t, adminapi.Change{
			Seq: line.Seq, At: line.At, Who: "loopback", Scope: "act", Route: line.Route, Path: c.path, Selection: c.selection, Count: &c.count,
			Status: 200, From: "127.0.0.1", RequestID: a.header.Get("X-Request-Id"),
		}, line)
		require.NotEmpty(t, line.RequestID)
		require.Regexp(t, "^POST "+strings.NewReplacer("team", ":name", "other", ":name").Replace(c.path)+"$", line.Route)
	}
}

// A line is bounded, and holds no token, no query and no body of a submission. A fault leaves
// a line too, since it may have changed something.
func TestLinesAreBoundedAndHoldNoSecrets(t *testing.T) {
	s, changes, dir := audited(t, append(twoTokens(), admin.NewToken("app", []string{"submit"}, []byte("submit-token-0123456789")))...)
	s.SetAPI(func(api *echo.Group) {
		api.POST("/predictions/:source/*", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		api.POST("/things/*", func(c echo.Context) error {
			if c.QueryParam("panic") != "" {
				panic("a secret")
			}
			return c.NoContent(http.StatusOK)
		})
		admin.RegisterAudit(api, changes)
		admin.RegisterDeadLetters(api, noDead{})
	})
	require.Equal(t, 200, from(t, s, "127.0.1.1", http.MethodPost, "/api/v1/predictions/get3w/a/b?tenant=t-private", "Bearer submit-token-0123456789").status)
	require.Equal(t, 500, from(t, s, "127.0.1.2", http.MethodPost, "/api/v1/things/"+strings.Repeat("%C3%A9", 200)+"?panic=1", "Bearer "+actor).status)
	seqs, err := json.Marshal(map[string]any{"seqs": make([]int64, 1000), "prediction": "é" + strings.Repeat("\u202eé", 100)})
	require.NoError(t, err)
	a := do(t, s, http.MethodPost, "/api/v1/dead/drop", string(seqs), map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + actor})
	require.Equal(t, 200, a.status, a.body)
	for _, refused := range []string{reader, "wrong"} {
		from(t, s, "127.0.1.3", http.MethodPost, "/api/v1/things/x", "Bearer "+refused)
	}

	page := func(query string) (list adminapi.AuditList) {
		a := do(t, s, http.MethodGet, "/api/v1/audit"+query, "", map[string]string{"Authorization": "Bearer " + reader})
		require.Equal(t, 200, a.status, a.body)
		require.NoError(t, json.Unmarshal([]byte(a.body), &list))
		return list
	}
	list := page("")
	require.Len(t, list.Changes, 3)
	require.Empty(t, list.Next)
	require.Equal(t, "actor", list.Changes[0].Who)
	require.Len(t, list.Changes[0].Selection, 2048)
	require.Equal(t, 500, list.Changes[1].Status)
	require.Len(t, list.Changes[1].Path, 512)
	require.Nil(t, list.Changes[1].Count)
	require.Equal(t, "127.0.1.2", list.Changes[1].From)
	require.Equal(t, "app", list.Changes[2].Who)
	require.Equal(t, "POST /predictions/:source/*", list.Changes[2].Route)
	for _, name := range []string{"audit.json", "audit-submit.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for _, never := range []string{"token-0123456789", "t-private", "panic", "secret"} {
			require.NotContains(t, string(text), never)
		}
	}

	first := page("?limit=2")
	require.Equal(t, list.Changes[:2], first.Changes)
	require.NotEmpty(t, first.Next)
	second := page("?limit=2&cursor=" + first.Next)
	require.Equal(t, list.Changes[2:], second.Changes)
	require.Empty(t, second.Next)
	for query, want := range map[string]string{
		"?limit=0": "limit is 1 to 1000", "?limit=1001": "limit is 1 to 1000", "?limit=x": "limit is 1 to 1000",
		"?cursor=!": "cursor is the next", "?cursor=0": "cursor is the next", "?cursor=-1": "cursor is the next", "?cursor=zzzzzzzzzzzzzzzzz": "cursor is the next",
	} {
		a := do(t, s, http.MethodGet, "/api/v1/audit"+query, "", map[string]string{"Authorization": "Bearer " + reader})
		require.Equal(t, 400, a.status, query)
		require.Contains(t, a.detail(t), want)
	}
}

// noDead drops nothing.
type noDead struct{ admin.DeadLetters }

func (noDead) Drop(context.Context, adminapi.DeadSelection, bool) adminapi.RedeliveryReport {
	return adminapi.NewRedeliveryReport(nil, false, "")
}
