package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// fakeJobs remembers what was asked for.
type fakeJobs struct {
	mu     sync.Mutex
	orders []adminapi.JobOrder
	err    error
	list   []adminapi.Job
}

func (f *fakeJobs) take(o adminapi.JobOrder) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, o)
	return f.err
}

func (f *fakeJobs) Plan(_ context.Context, o adminapi.JobOrder) (adminapi.JobPlan, error) {
	return adminapi.JobPlan{Kind: o.Kind, DryRun: true, Total: 3, LeftOut: map[string]int{}, Outputs: &adminapi.OutputsPlan{Predictions: 3, Archived: 2, Gone: 1, More: true}}, f.take(o)
}

func (f *fakeJobs) Start(_ context.Context, o adminapi.JobOrder) (adminapi.Job, error) {
	return queued("a", o.Kind, o.Body), f.take(o)
}

// queued is a job that nobody has begun to work on.
func queued(id, kind string, call json.RawMessage) adminapi.Job {
	return adminapi.Job{ID: id, Kind: kind, State: adminapi.JobQueued, Call: call, Outcomes: map[string]int{}}
}

// reverifying is a job of one kind.
func reverifying(id string) adminapi.Job {
	return queued(id, adminapi.JobReverify, json.RawMessage(`{"kind":"reverify"}`))
}

func (f *fakeJobs) List(context.Context) ([]adminapi.Job, error) { return f.list, nil }

func (f *fakeJobs) Get(_ context.Context, id string) (adminapi.Job, error) {
	if id != "a" {
		return adminapi.Job{}, fmt.Errorf("job: %w", bridge.ErrNotFound)
	}
	return reverifying(id), nil
}

func (f *fakeJobs) Cancel(ctx context.Context, id string) (adminapi.Job, error) {
	return f.Get(ctx, id)
}

func jobServer(t *testing.T) (*fakeJobs, func(body string, header map[string]string) answer) {
	f, s := &fakeJobs{}, start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterJobs(api, f) })
	return f, func(body string, header map[string]string) answer {
		if header == nil {
			header = map[string]string{}
		}
		header["Content-Type"] = "application/json"
		return do(t, s, http.MethodPost, "/api/v1/jobs", body, header)
	}
}

func TestJobCalls(t *testing.T) {
	t.Parallel()
	f, post := jobServer(t)
	for body, want := range map[string]adminapi.JobOrder{
		`{"kind":"redrive","consumer":"team","cause":"permanent"}`:      {Rate: adminapi.DefaultJobRate},
		`{"kind":"redrive","all":true,"rate":2000,"handled":true}`:      {Rate: 2000},
		`{"kind":"redrive","seqs":[1,9007199254740993],"dry_run":true}`: {Rate: adminapi.DefaultJobRate, DryRun: true},
		`{"kind":"drop_dead","consumer":"team","expect":0}`:             {Rate: adminapi.DefaultJobRate},
		`{"kind":"drop_dead","consumer":"team","dry_run":true}`:         {Rate: adminapi.DefaultJobRate, DryRun: true},
		`{"kind":"replay","consumer":"team","model":"google/*"}`:        {Rate: adminapi.DefaultJobRate},
		`{"kind":"reverify","accept_stale":true,"rate":0.5}`:            {Rate: 0.5},
		`{"kind":"drop_quarantine","stream":"refused","expect":7}`:      {Rate: adminapi.DefaultJobRate},
	} {
		a := post(body, map[string]string{"Idempotency-Key": "key " + body[:20]})
		require.Equal(t, 200, a.status, a.body)
		o := f.orders[len(f.orders)-1]
		require.Equal(t, adminapi.Loopback, o.By)
		require.Equal(t, want.Rate, o.Rate, body) //nolint:testifylint // the very number
		require.Equal(t, want.DryRun, o.DryRun, body)
		require.Equal(t, "key "+body[:20], o.Key)
		var asked, kept map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(body), &asked))
		require.NoError(t, json.Unmarshal(o.Body, &kept))
		require.JSONEq(t, string(asked["kind"]), string(kept["kind"]))
		require.Equal(t, string(asked["seqs"]), string(kept["seqs"]), body)
		require.NotContains(t, kept, "limit", body)
	}
	n := len(f.orders)
	for body, says := range map[string]string{
		``: "not the JSON object", `[]`: "not the JSON object", `{}`: "kind is one of", `{"kind":"nothing"}`: "kind is one of",
		`{"kind":"redrive"}`:                                               "name a consumer",
		`{"kind":"redrive","consumer":"team","limit":5}`:                   "limit is for calls",
		`{"kind":"redrive","consumer":"team","x":5}`:                       "unknown field",
		`{"kind":"redrive","consumer":"team"} {}`:                          "not the JSON object",
		`{"kind":"redrive","consumer":"team","all":true}`:                  "all is for",
		`{"kind":"redrive","consumer":"team","stream":"x"}`:                "unknown field",
		`{"kind":"redrive","consumer":"team","rate":20000}`:                "rate is 0.1 to 10000",
		`{"kind":"redrive","consumer":"team","rate":-1}`:                   "rate is 0.1 to 10000",
		`{"kind":"redrive","consumer":"team","rate":0.01}`:                 "rate is 0.1 to 10000",
		`{"kind":"drop_dead","consumer":"team"}`:                           "expect is missing",
		`{"kind":"drop_dead","consumer":"team","expect":-1}`:               "expect is how many",
		`{"kind":"drop_dead","consumer":"team","handled":true,"expect":1}`: "handled is for redrive",
		`{"kind":"erase"}`: "name a tenant", `{"kind":"erase","tenant":"` + strings.Repeat("x", 1025) + `"}`: "name a tenant", `{"kind":"erase","tenant":"a","seqs":[1]}`: "seqs",
		`{"kind":"drop_quarantine","expect":1}`:                             "stream must be named",
		`{"kind":"drop_quarantine","stream":"refused","accept_stale":true}`: "for reverify",
		`{"kind":"drop_quarantine","stream":"refused"}`:                     "expect is missing",
		`{"kind":"replay"}`: "consumer is the one",
		`{"kind":"replay","consumer":"team","run":"` + strings.Repeat("x", 65) + `"}`: "run has at most",
		`{"kind":"reverify","seqs":[1]}`:                                              "within one stream",
		`{"kind":"redrive","consumer":"team","by":"anna"}`:                            "unknown field",
	} {
		a := post(body, nil)
		require.Equal(t, 400, a.status, "%.100s: %s", body, a.body)
		require.Contains(t, a.body, says, "%.100s", body)
	}
	for _, key := range []string{"", strings.Repeat("k", 129)} {
		a := post(`{"kind":"redrive","consumer":"team"}`, map[string]string{"Idempotency-Key": key})
		require.Equal(t, 400, a.status, a.body)
	}
	require.Len(t, f.orders, n, "nothing was begun")
	for err, status := range map[error]int{
		adminapi.ErrJobKind: 409, adminapi.ErrOtherJob: 422, adminapi.ErrBusy: 503, adminapi.ErrNoConsumer: 404, bridge.ErrFull: 503, bridge.ErrUnknown: 503,
	} {
		f.err = fmt.Errorf("beginning: %w", err)
		a := post(`{"kind":"redrive","consumer":"team"}`, nil)
		require.Equal(t, status, a.status, a.body)
	}
}

func TestJobPages(t *testing.T) {
	t.Parallel()
	f, s := &fakeJobs{}, start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterJobs(api, f) })
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for i := range 7 {
		job := reverifying(fmt.Sprintf("j%d", 9-i))
		job.CreatedAt = at.Add(-time.Duration(i/2) * time.Nanosecond)
		f.list = append(f.list, job)
	}
	var ids []string
	for cursor := ""; ; {
		page := ask[adminapi.JobList](t, s, "/jobs?limit=2&cursor="+cursor, "")
		for _, j := range page.Jobs {
			ids = append(ids, j.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"j9", "j8", "j7", "j6", "j5", "j4", "j3"}, ids)
	require.Len(t, ask[adminapi.JobList](t, s, "/jobs", "").Jobs, 7)
	for _, wrong := range []string{"?cursor=x", "?cursor=1-", "?cursor=99999999999999999999-a", "?cursor=9999999999999999999-a", "?limit=0", "?limit=1001", "?limit=x", "?cursor=1-A"} {
		a := get(t, s, "/api/v1/jobs"+wrong)
		require.Equal(t, 400, a.status, wrong+a.body)
	}
	require.Equal(t, "a", ask[adminapi.Job](t, s, "/jobs/a", "").ID)
	require.Equal(t, "a", ask[adminapi.Job](t, s, "/jobs/a/cancel", "{}").ID)
	require.Equal(t, 404, get(t, s, "/api/v1/jobs/b").status)
	require.Equal(t, 404, do(t, s, http.MethodPost, "/api/v1/jobs/b/cancel", "{}", asJSON).status)
	require.Equal(t, 400, do(t, s, http.MethodPost, "/api/v1/jobs/a/cancel", "[]", map[string]string{"Content-Type": "application/json"}).status)
}

// Whatever is sent, nothing is begun that does not name its kind.
func FuzzJobCall(f *testing.F) {
	for _, seed := range []string{`{"kind":"redrive","consumer":"team","seqs":[1]}`, `{"kind":"drop_dead","all":true,"expect":3}`, `{"kind":"replay","consumer":"a","since":"2026-01-31T12:00:00Z"}`, `{"kind":"reverify"}`, `{"kind":"erase","tenant":"a"}`, `{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := admin.ReadOrder(body)
		if err != nil {
			return
		}
		require.Contains(t, []string{adminapi.JobRedrive, adminapi.JobDropDead, adminapi.JobReplay, adminapi.JobReverify, adminapi.JobDropKept, adminapi.JobErase}, o.Kind)
		require.True(t, o.Rate >= adminapi.MinJobRate && o.Rate <= adminapi.MaxJobRate)
		require.True(t, json.Valid(o.Body))
		if o.Kind == adminapi.JobErase {
			require.Contains(t, string(o.Body), `"tenant":"sha256:`)
			return
		}
		again, err := admin.ReadOrder(o.Body)
		require.NoError(t, err)
		require.Equal(t, o.Kind, again.Kind)
		require.JSONEq(t, string(o.Body), string(again.Body))
	})
}
