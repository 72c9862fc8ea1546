package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// ordersAPI answers paths with what a test wants, and keeps what was posted.
type ordersAPI struct {
	t       *testing.T
	answers map[string]any
	posted  []string
	keys    []string
}

func (f *ordersAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, apiPrefix)
	if r.Method == http.MethodPost {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			f.t.Error(err)
		}
		f.posted = append(f.posted, path+" "+string(text))
		f.keys = append(f.keys, r.Header.Get("Idempotency-Key"))
		if path == "/jobs" && strings.Contains(string(text), `"dry_run":true`) {
			path = "dry run"
		}
	}
	answer, ok := f.answers[path]
	if path == "/me" && !ok {
		answer, ok = adminapi.Caller{Name: "anna", Scopes: []string{"read", "act"}}, true
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		answer = problem{Title: "not there: " + path}
	}
	if p, ok := answer.(*problem); ok {
		w.WriteHeader(p.Status)
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.t.Error(err)
	}
}

func (f *ordersAPI) send(r *http.Request) *httptest.ResponseRecorder {
	f.t.Helper()
	w := httptest.NewRecorder()
	New(f, zap.NewNop()).ServeHTTP(w, r)
	return w
}

func (f *ordersAPI) get(path string) string {
	f.t.Helper()
	w := f.send(httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(f.t, http.StatusOK, w.Code, w.Body)
	return w.Body.String()
}

func (f *ordersAPI) post(path, form string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.send(r)
}

func newOrders(t *testing.T) *ordersAPI {
	t.Helper()
	return &ordersAPI{t: t, answers: map[string]any{
		"dry run": adminapi.JobPlan{Total: 9851, Count: 9812, LeftOut: map[string]int{"handled": 37, "no_event": 2}, Rate: 50, TakesSeconds: 196.24},
		"/jobs":   adminapi.Job{ID: "job1"},
	}}
}

func TestDryRunInWords(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	page := f.get("/dead/redrive?consumer=billing&group=G1&rate=50")
	for _, words := range []string{
		"<strong>9,812</strong> of 9,851 would be given to their consumer again", "<strong>37</strong> were handled since", "<strong>2</strong> stay: they have no event any more",
		"At 50 a second this takes 3 min 16 s", "Redrive 9,812", `name="group" value="G1"`,
	} {
		require.Contains(t, page, words)
	}
	require.Equal(t, []string{`/jobs {"kind":"redrive","consumer":"billing","group":"G1","dry_run":true,"rate":50}`}, f.posted)
}

// keyOf is the key that the form of a page sends.
func keyOf(t *testing.T, page string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `name="key" value="`)
	require.True(t, ok, page)
	key, _, _ := strings.Cut(rest, `"`)
	require.NotEmpty(t, key)
	return key
}

func TestOneFormIsOneJob(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	key := keyOf(t, f.get("/dead/redrive?consumer=billing"))
	require.NotEqual(t, key, keyOf(t, f.get("/dead/redrive?consumer=billing")))
	f.keys = nil
	for range 2 {
		w := f.post("/dead/redrive", "consumer=billing&do=1&key="+key)
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Equal(t, "/jobs/job1", w.Header().Get("Location"))
	}
	require.Equal(t, []string{key, key}, f.keys)
	f.answers["/jobs"] = &problem{Status: http.StatusUnprocessableEntity, Title: "another call"}
	w := f.post("/dead/redrive", "consumer=billing&rate=7&do=1&key="+key)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "has begun a job before")
}

// A form that selects nothing must not become one that selects all of a consumer.
func TestNothingSelectedIsNotEverything(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	for path, form := range map[string]string{
		"/dead/redrive": "selected=1&consumer=billing&cause=refused", "/dead/drop": "selected=1&consumer=billing", "/quarantine/reverify": "selected=1&stream=refused",
		"/quarantine/drop": "selected=1&stream=refused", "/quarantine/accept": "selected=1&stream=quarantine",
	} {
		w := f.post(path, form+"&do=1&key=k&expect=3&total=3")
		require.Equal(t, http.StatusBadRequest, w.Code, path)
		require.Contains(t, w.Body.String(), "Nothing is selected")
	}
	require.Equal(t, http.StatusOK, f.send(httptest.NewRequest(http.MethodGet, "/dead/redrive", nil)).Code)
	require.Empty(t, f.posted)
	f.post("/dead/redrive", "selected=1&consumer=billing&cause=refused&seqs=3&seqs=5")
	require.Equal(t, []string{`/jobs {"kind":"redrive","seqs":[3,5],"dry_run":true}`}, f.posted)
	w := f.post("/dead/redrive", "selected=1"+strings.Repeat("&seqs=1", maxSelected+1))
	require.Contains(t, w.Body.String(), "At most 1000 entries")
}

func TestDropWantsTheNumber(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	for _, typed := range []string{"", "12", "all"} {
		w := f.post("/dead/drop", "consumer=billing&do=1&key=k&total=9851&expect="+typed)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), "type how many are dropped")
	}
	f.posted = nil
	w := f.post("/dead/drop", "consumer=billing&do=1&key=k&total=9851&expect="+url.QueryEscape(" 9,851"))
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, []string{`/jobs {"kind":"drop_dead","expect":9851,"consumer":"billing"}`}, f.posted)
	require.Contains(t, f.post("/quarantine/drop", "cause=no_id").Body.String(), "choose either")
}

func TestRateOfAForm(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	for _, rate := range []string{"0", "-1", "NaN", "1e9", "x"} {
		w := f.post("/dead/redrive", "consumer=billing&do=1&key=k&rate="+rate)
		require.Equal(t, http.StatusOK, w.Code, rate)
		require.Contains(t, w.Body.String(), "The rate is 0.1 to 10000 a second")
	}
}

// exactValues are attributes that nobody sees, of forms and of what is copied.
var exactValues = regexp.MustCompile(` (value|data-copy)="[^"]*"`)

// What strangers wrote is shown, and does nothing.
func TestStrangersTextsOnPages(t *testing.T) {
	t.Parallel()
	const evil = "<script>alert(1)</script>\x1b[2J\u202egnp"
	f := newOrders(t)
	body := fmt.Sprintf(`{"big":12345678901234567890.10,"text":%q}`, evil)
	letter := adminapi.DeadLetter{Seq: 7, Consumer: "billing", Cause: "refused", Error: evil, Prediction: evil, Model: evil, Source: "get3w", Status: evil, Event: evil, Problem: evil}
	kept := adminapi.KeptDelivery{Stream: "refused", Seq: 1, Source: "get3w", Cause: "wrong_signature", Detail: evil, Remote: evil, RequestID: evil}
	f.answers["/dead"] = adminapi.DeadLetterList{Letters: []adminapi.DeadLetter{letter}}
	f.answers["/dead/groups"] = adminapi.DeadGroupList{Groups: []adminapi.DeadGroup{{ID: "G", Consumer: "billing", Cause: "refused", Error: evil, Histogram: adminapi.Histogram{Counts: []int64{1, 2}}}}}
	f.answers["/dead/7"] = adminapi.DeadLetterDetail{DeadLetter: letter, Header: map[string][]string{evil: {evil}}, Content: adminapi.Content{Body: &body}}
	f.answers["/quarantine"] = adminapi.KeptList{Entries: []adminapi.KeptDelivery{kept}}
	f.answers["/quarantine/causes"] = adminapi.KeptCauses{Causes: []adminapi.KeptCause{{Stream: "refused", Source: evil, Cause: evil, Count: 3}}}
	f.answers["/quarantine/refused/1"] = adminapi.KeptDetail{KeptDelivery: kept, ContentType: evil, Query: map[string]string{evil: evil}, Content: adminapi.Content{BodyBase64: []byte("\xff" + evil)}}
	f.answers["/jobs"] = adminapi.JobList{Jobs: []adminapi.Job{{ID: "job1", Kind: "replay", Call: json.RawMessage(`{"consumer":"<script>alert(1)</script>"}`), Error: evil}}}
	f.answers["/jobs/job1"] = adminapi.Job{ID: "job1", Kind: evil, State: adminapi.JobFailed, Error: evil, Waiting: evil, By: evil, Process: evil, Outcomes: map[string]int{evil: 1}, Errors: []adminapi.JobError{{Text: evil}}}
	for _, path := range []string{
		"/dead", "/dead/letters", "/dead/letters?consumer=billing&cause=refused&group=G&prediction=" + url.QueryEscape(evil), "/dead/7", "/quarantine", "/quarantine?stream=refused&cause=" + url.QueryEscape(evil),
		"/quarantine/refused/1", "/jobs", "/jobs/job1", "/dead/redrive?consumer=" + url.QueryEscape(evil),
	} {
		page := f.get(path)
		require.NotContains(t, page, "<script>alert", path)
		require.NotContains(t, exactValues.ReplaceAllString(page, ""), "\x1b", path)
		require.Contains(t, page, "alert(1)", path)
	}
	require.Contains(t, f.get("/dead/7"), "12345678901234567890.10")
}

// Who may only read sees everything and no button.
func TestReadersSeeNoActs(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	f.answers["/me"] = adminapi.Caller{Name: "reader", Scopes: []string{"read"}}
	f.answers["/dead"] = adminapi.DeadLetterList{Letters: []adminapi.DeadLetter{{Seq: 7, Consumer: "billing", Cause: "refused"}}}
	f.answers["/dead/7"] = adminapi.DeadLetterDetail{DeadLetter: adminapi.DeadLetter{Seq: 7}}
	f.answers["/quarantine"] = adminapi.KeptList{Entries: []adminapi.KeptDelivery{{Stream: "refused", Seq: 1, Cause: "stale"}}}
	f.answers["/quarantine/causes"] = adminapi.KeptCauses{Causes: []adminapi.KeptCause{{Stream: "refused", Cause: "stale", Count: 3}}}
	f.answers["/jobs/job1"] = adminapi.Job{ID: "job1", State: adminapi.JobRunning}
	for _, path := range []string{"/dead/letters", "/dead/7", "/quarantine?stream=refused", "/jobs/job1"} {
		page := f.get(path)
		for _, act := range []string{"Redrive", "Drop", "Re-verify…", "Cancel", `type="checkbox"`, "data-act"} {
			require.NotContains(t, page, act, path)
		}
	}
}

func TestJobAddsUp(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	f.answers["/jobs/job1"] = adminapi.Job{
		ID: "job1", Kind: adminapi.JobRedrive, State: adminapi.JobCancelled, Total: 100_000, Left: 40_000, Outcomes: map[string]int{"given": 59_000, "handled": 990, "too_large": 10},
		Call: json.RawMessage(`{"consumer":"billing","cause":"refused"}`),
	}
	page := f.get("/jobs/job1")
	for _, words := range []string{
		"<strong>60,000</strong> of 100,000, 60 %", "59,000", "990", "40,000", "were not done, and are as they were", "<strong>100,000</strong>",
		`<rect class="good" x="0.00" y="0" width="590.00"`, `<rect class="mute" x="590.00" y="0" width="9.90"`, "dead letters of billing with the cause “refused by the target”", `href="/dead/letters?cause=refused&amp;consumer=billing"`,
	} {
		require.Contains(t, page, words)
	}
}

func TestEmptyLists(t *testing.T) {
	t.Parallel()
	f := newOrders(t)
	f.answers["/dead"], f.answers["/dead/groups"] = adminapi.DeadLetterList{}, adminapi.DeadGroupList{}
	f.answers["/quarantine"], f.answers["/quarantine/causes"] = adminapi.KeptList{}, adminapi.KeptCauses{}
	f.answers["/jobs"] = adminapi.JobList{}
	for path, words := range map[string]string{
		"/dead": "No dead letters", "/dead?cause=refused": "None match", "/dead/letters": "No dead letters", "/dead/letters?prediction=a": "None match",
		"/quarantine": "Nothing is kept", "/quarantine?stream=refused": "None match", "/jobs": "No jobs",
	} {
		require.Contains(t, f.get(path), "<h2>"+words, path)
	}
	f.answers["/dead"] = &problem{Status: http.StatusServiceUnavailable, Title: "NATS is away."}
	w := f.send(httptest.NewRequest(http.MethodGet, "/dead/letters", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "Could not ask")
}
