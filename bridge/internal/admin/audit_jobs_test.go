package admin_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// A job leaves a line that tells what it selects, without the name of a prediction. A dry run
// changes nothing and leaves none.
func TestJobsLeaveLines(t *testing.T) {
	t.Parallel()
	s, changes, _ := audited(t)
	s.SetAPI(func(api *echo.Group) { admin.RegisterJobs(api, &fakeJobs{}) })
	post := func(path, body string) {
		a := do(t, s, http.MethodPost, "/api/v1/jobs"+path, body, map[string]string{"Content-Type": "application/json"})
		require.Equal(t, 200, a.status, a.body)
	}
	for _, body := range []string{
		`{"kind":"redrive","consumer":"team","dry_run":true}`, `{"kind":"drop_dead","consumer":"team","dry_run":true}`, `{"kind":"replay","consumer":"team","dry_run":true}`,
		`{"kind":"reverify","dry_run":true}`, `{"kind":"drop_quarantine","stream":"refused","dry_run":true}`,
	} {
		post("", body)
	}
	post("", `{"kind":"redrive","consumer":"team","prediction":"pred_1","rate":5}`)
	post("", `{"kind":"drop_quarantine","stream":"refused","expect":7}`)
	post("/a/cancel", `{}`)
	lines, _, _, err := changes.List(0, 10)
	require.NoError(t, err)
	got := [][]string{}
	for _, l := range lines {
		got = append(got, []string{l.Route, l.Path, l.Selection})
	}
	require.Equal(t, [][]string{
		{"POST /jobs/:id/cancel", "/jobs/a/cancel", ""},
		{"POST /jobs", "/jobs/a", `{"kind":"drop_quarantine","expect":7,"stream":"refused"}`},
		{"POST /jobs", "/jobs/a", `{"consumer":"team","kind":"redrive","prediction":"sha256:` + bridge.ErasedHash("", "pred_1") + `","rate":5}`},
	}, got)
}
