package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// hostile is what a stranger may write.
const hostile = "<img src=x onerror=alert(1)>\x1b[31m\u202eevil\" onmouseover=\"x"

func TestTheListOfPredictionsHasThreeEmptyStates(t *testing.T) {
	t.Parallel()
	list := func(answer any) http.Handler {
		c, _ := newFake(t, map[string]any{"GET /predictions": answer, "GET /consumers": adminapi.ConsumerList{}})
		return c
	}
	_, page := see(t, list(adminapi.PredictionList{}), "/predictions")
	require.Contains(t, page, "No prediction yet")
	_, page = see(t, list(adminapi.PredictionList{}), "/predictions?q=status:failed")
	require.Contains(t, page, "None matches")
	require.Contains(t, page, `<a class="button" href="/predictions?">Clear filter</a>`)
	_, page = see(t, list(adminapi.PredictionList{Next: "z"}), "/predictions?q=status:failed")
	require.Contains(t, page, "/predictions?cursor=z&amp;q=status%3Afailed", "an empty page can be followed by others")
	status, page := see(t, list(failing(http.StatusServiceUnavailable, "The view cannot be read now.")), "/predictions")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, page, "Could not ask")
	_, page = see(t, list(failing(http.StatusBadRequest, `q: "foo:bar": there is no key`)), "/predictions?q=foo:bar")
	require.Contains(t, page, "there is no key")
	require.Contains(t, page, `value="foo:bar"`, "the search can be mended")
}

func failing(status int, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"detail": detail})
	}
}

func TestTheIDOfAPredictionLeadsToItsPage(t *testing.T) {
	t.Parallel()
	one := adminapi.Prediction{Source: "get3w", ID: "a/b", Status: "completed"}
	c, _ := newFake(t, map[string]any{"GET /predictions": adminapi.PredictionList{Predictions: []adminapi.Prediction{one}}})
	res := httptest.NewRecorder()
	c.ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/predictions?q=a/b", nil))
	require.Equal(t, http.StatusSeeOther, res.Code)
	require.Equal(t, "/predictions/get3w/a%2Fb", res.Header().Get("Location"))
	status, page := see(t, c, "/predictions?q=a")
	require.Equal(t, http.StatusOK, status, "the beginning of an id is a search")
	require.Contains(t, page, "a/b")
}

func TestTheTextsOfStrangersAreTextsInLists(t *testing.T) {
	t.Parallel()
	p := adminapi.Prediction{
		Source: "get3w", ID: hostile, Model: hostile, Status: hostile, Reference: hostile, Tenant: hostile, Outputs: 1,
		Consumers: []adminapi.ConsumerStanding{{Consumer: hostile, State: adminapi.StandingDead}}, Preview: &adminapi.Preview{ContentType: hostile},
	}
	c, _ := newFake(t, map[string]any{"GET /predictions": adminapi.PredictionList{Predictions: []adminapi.Prediction{p}}})
	for _, path := range []string{"/predictions", "/predictions?view=grid"} {
		_, page := see(t, c, path)
		harmless(t, page)
	}
}

// unseen are values that a form sends back or that are copied, and that nobody sees.
var unseen = regexp.MustCompile(`(data-copy|value)="[^"]*"`)

func harmless(t *testing.T, page string) {
	t.Helper()
	page = unseen.ReplaceAllString(page, "")
	require.NotContains(t, page, "<img src=x")
	require.NotContains(t, page, `onmouseover="`)
	require.NotContains(t, page, "\x1b")
	require.NotContains(t, page, "\u202e")
}

// sample is the timeline of a prediction that one consumer has handled, one has given up, and
// one does not read.
func sample(id string) adminapi.Timeline {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	event := bridge.EventRef{Sequence: 7, ID: id + "/completed/0", Kind: bridge.KindPrediction, Status: "completed", Origin: bridge.OriginWebhook, StoredAt: at}
	failed := adminapi.LaneAttempt{At: at.Add(time.Second), Took: 0.2, Number: 1, Verdict: bridge.VerdictRetry, Error: "boom"}
	last := adminapi.LaneAttempt{At: at.Add(time.Minute), Took: 0.3, Number: 2, Verdict: bridge.VerdictDead, Error: "boom\nmore"}
	return adminapi.Timeline{
		Prediction: bridge.PredictionState{
			Source: "get3w", ID: id, Model: "m", Status: "completed", FirstSeen: at, CreatedAt: at.Add(-3 * time.Second), CompletedAt: at.Add(-time.Second), ReceivedAt: at,
			OutputCount: 3, Stored: 2, Outputs: []bridge.OutputState{
				{URL: "https://cdn.example.com/a.png", Custody: bridge.CustodyStored, ContentType: "image/png", Bytes: 5},
				{URL: "https://cdn.example.com/b.svg", Custody: bridge.CustodyStored, ContentType: "image/svg+xml"},
				{URL: "https://cdn.example.com/c.mp4", Custody: bridge.CustodyPending},
			},
		},
		OutputsExpireAt: time.Now().Add(time.Hour),
		Events: []adminapi.TimelineEvent{{EventRef: event, ReceivedAt: at.Add(-5 * time.Millisecond), Lanes: []adminapi.Lane{
			{Consumer: "archive", State: "handled", Words: "handled", Last: &adminapi.LaneAttempt{At: at.Add(2 * time.Second), Number: 1, Verdict: bridge.VerdictDone}},
			{Consumer: "billing", State: "dead_letter", Words: "dead letter", Reason: "boom", Remedy: "Repair it.", DeadSeq: 12, Last: &last, Failed: []adminapi.LaneAttempt{failed, last}},
			{Consumer: "mail", State: "not_meant", Words: "not for this filter"},
		}}},
		DeadLetters: []adminapi.DeadLetter{{Seq: 12, DiedAt: at.Add(time.Minute + time.Second), Consumer: "billing", Cause: "refused", Attempts: 2}},
	}
}

func samplePage(t *testing.T, line adminapi.Timeline, scopes ...string) string {
	t.Helper()
	body := `{"id":"x","n":12345678901234567890}`
	path := apiPrediction("get3w", line.Prediction.ID)
	c, _ := newFake(t, map[string]any{
		"GET /me":                   adminapi.Caller{Name: "anna", Scopes: scopes},
		"GET " + path + "/timeline": line,
		"GET /events/7":             adminapi.EventDetail{Event: adminapi.Event{Seq: 7}, Header: bridge.Header{"ce-signature": {"abc"}}, Content: adminapi.Content{Body: &body}},
		"GET /sources":              adminapi.SourceList{Sources: []adminapi.Source{{Name: "get3w", SignatureHeader: "X-Signature"}}},
	})
	status, page := see(t, c, predictionPath("get3w", line.Prediction.ID))
	require.Equal(t, http.StatusOK, status, page)
	return page
}

func TestThePageOfAPredictionSaysWhyItIsNotHandled(t *testing.T) {
	t.Parallel()
	page := samplePage(t, sample("pred_1"), adminapi.ScopeRead, adminapi.ScopeAct)
	require.Contains(t, page, "3 outputs, 2 archived. Not handled by billing.")
	require.Contains(t, page, "Repair it.")
	require.Contains(t, page, `href="/dead/redrive?back=%2Fpredictions%2Fget3w%2Fpred_1&amp;consumer=billing&amp;seqs=12"`)
	require.Contains(t, page, "&#34;n&#34;: 12345678901234567890", "a large number stays as it came")
	require.Contains(t, page, "X-Signature: abc")
	require.Contains(t, page, `<img src="/thumbs/get3w/pred_1/0"`)
	require.NotContains(t, page, "/thumbs/get3w/pred_1/1", "an SVG is not shown")
	require.NotContains(t, page, `="https://cdn.example.com`, "no link leads to an address that an event names")
	require.Contains(t, page, "attempt 2 failed for good in 300 ms")
	require.Contains(t, page, "gave up after 2 attempts: refused")

	page = samplePage(t, sample("pred_1"), adminapi.ScopeRead)
	require.Contains(t, page, "Repair it.")
	require.NotContains(t, page, `href="/dead/redrive`, "the visitor may only read")
}

func TestWhatWasPutOffIsNoAttempt(t *testing.T) {
	t.Parallel()
	h := handler{Lane: adminapi.Lane{
		Failed: []adminapi.LaneAttempt{{Number: 1, Verdict: bridge.VerdictRetry}, {Number: 2, Verdict: bridge.VerdictSnoozed}, {Number: 2, Verdict: bridge.VerdictRetry}},
		Last:   &adminapi.LaneAttempt{Number: 3, Verdict: bridge.VerdictSnoozed},
	}}
	require.Equal(t, 2, h.Attempts(nil))
	h.DeadSeq = 5
	require.Equal(t, 7, h.Attempts([]adminapi.DeadLetter{{Seq: 4, Attempts: 1}, {Seq: 5, Attempts: 7}}), "the dead letter knows")
	require.Equal(t, 1, handler{Lane: adminapi.Lane{Last: &adminapi.LaneAttempt{Verdict: bridge.VerdictDone}}}.Attempts(nil))
}

func TestTheTextsOfStrangersAreTextsOnTheirPage(t *testing.T) {
	t.Parallel()
	line := sample(hostile)
	p := &line.Prediction
	p.Model, p.Error, p.Status = hostile, hostile, hostile
	p.Announced = &bridge.Announced{At: p.FirstSeen, Reference: hostile, Tenant: hostile}
	p.Outputs[0].URL, p.Outputs[1].ContentType, p.Outputs[2].Error = "https://x/"+hostile, "text/"+hostile, hostile
	l := &line.Events[0].Lanes[1]
	l.Consumer, l.Reason, l.Remedy, l.Words, l.Failed[0].Error, l.Failed[0].Verdict = hostile, hostile, hostile, hostile, hostile, hostile
	line.DeadLetters[0].Consumer, line.DeadLetters[0].Error = hostile, hostile
	harmless(t, samplePage(t, line, adminapi.ScopeAct))
}

func TestAnUnknownPredictionCanBeWatched(t *testing.T) {
	t.Parallel()
	watched := ""
	c, _ := newFake(t, map[string]any{"PUT /predictions/get3w/nobody": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched = r.Header.Get("Content-Type")
		_, _ = w.Write([]byte(`{"result":"stored","id":"x"}`))
	})})
	status, page := see(t, c, "/predictions/get3w/nobody")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, page, "Unknown here")
	require.Contains(t, page, "There is no such thing.")
	to, _ := submit(t, c, "/predictions/watch", url.Values{"source": {"get3w"}, "id": {"nobody"}})
	require.Equal(t, "/predictions/get3w/nobody", to)
	require.Equal(t, "application/json", watched)
}

// Nothing is given before somebody has seen what it would do, and a job does it. Its page leads
// back to the prediction.
func TestAnEventIsGivenAgainAfterADryRun(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{
		"POST /jobs": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var call struct {
				DryRun bool `json:"dry_run"`
			}
			if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
				t.Errorf("the call is no JSON: %v", err)
			}
			var answer any = adminapi.Job{ID: "job1"}
			if call.DryRun {
				answer = adminapi.JobPlan{Total: 1, Count: 1, Rate: 1000, Outputs: &adminapi.OutputsPlan{Predictions: 1, Archived: 2, Gone: 1}}
			}
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				t.Error(err)
			}
		}),
		"GET /consumers/billing": adminapi.ConsumerState{Name: "billing", State: "paused"},
		"GET /jobs/job1":         adminapi.Job{ID: "job1", Kind: adminapi.JobRedrive, State: adminapi.JobDone},
	})
	for path, call := range map[string]string{
		"/dead/redrive":  `{"kind":"redrive","seqs":[12]`,
		"/events/replay": `{"kind":"replay","consumer":"billing","seqs":[12]`,
	} {
		form := url.Values{"consumer": {"billing"}, "seqs": {"12"}, "back": {"/predictions/get3w/pred_1"}}
		api.told = map[string]string{}
		status, page := see(t, c, path+"?"+form.Encode())
		require.Equal(t, http.StatusOK, status, page)
		require.Contains(t, page, "<strong>1</strong> of 1 would be given to ")
		require.Contains(t, page, "The consumer is paused")
		require.Contains(t, page, "<strong>2</strong> are archived, <strong>1</strong> is gone at the provider and in no archive.")
		require.Contains(t, page, `href="/predictions/get3w/pred_1">Back`)
		require.Equal(t, call+`,"dry_run":true}`, api.told["/jobs"])
		form.Set("do", "1")
		to, _ := submit(t, c, path, form)
		require.Equal(t, "/jobs/job1?back=%2Fpredictions%2Fget3w%2Fpred_1", to)
		_, page = see(t, c, to)
		require.Contains(t, page, `href="/predictions/get3w/pred_1">See how it goes`)
		form.Set("back", "https://elsewhere.example/")
		to, _ = submit(t, c, path, form)
		require.Equal(t, "/jobs/job1?back=%2F", to)
		form.Set("seqs", "x")
		_, page = submit(t, c, path, form)
		require.Contains(t, page, "select")
	}
	_, page := see(t, c, "/events/replay?seqs=3")
	require.Contains(t, page, "Nothing is selected", "nobody would get it")
}

func TestTheFirstRunIsShownUntilThereWasAnEvent(t *testing.T) {
	t.Parallel()
	view := adminapi.ViewStatus{Streams: map[string]adminapi.ViewStream{"X_EVENTS": {}, "X_DEAD": {}}, UpToDate: true}
	source := adminapi.Source{Name: "get3w", Webhook: "https://hooks.example.com/webhooks/get3w", Public: true, Secrets: []string{"file:/run/it's"}}
	answers := map[string]any{
		"GET /status": adminapi.Status{Refused: 2}, "GET /consumers": adminapi.ConsumerList{}, "GET /view": &view,
		"GET /sources": adminapi.SourceList{Sources: []adminapi.Source{source}}, "GET /predictions": adminapi.PredictionList{},
	}
	c, _ := newFake(t, answers)
	status, _ := see(t, c, "/")
	require.Equal(t, http.StatusSeeOther, status)
	_, page := see(t, c, "/first-run")
	require.Contains(t, page, "Set the secret")
	require.Contains(t, page, "2 deliveries were refused")
	require.Contains(t, page, "hookspan send --url https://hooks.example.com/webhooks/get3w --secret &#39;file:/run/it&#39;\\&#39;&#39;s&#39;")
	require.Contains(t, page, "curl -i https://hooks.example.com/")

	view.Streams["X_EVENTS"] = adminapi.ViewStream{Folded: 1}
	status, _ = see(t, c, "/")
	require.Equal(t, http.StatusOK, status)
	view = adminapi.ViewStatus{Streams: map[string]adminapi.ViewStream{"X_EVENTS": {}}, Rebuilding: true}
	status, _ = see(t, c, "/")
	require.Equal(t, http.StatusOK, status, "a view that is made anew does not know")
}
