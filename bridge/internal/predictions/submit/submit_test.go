package submit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestSubmitted(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	sub := submission("")
	sub.Deadline = time.Now().Add(time.Hour).Truncate(time.Second)
	done := r.submitted(t, sub)
	require.JSONEq(t, created, string(done.Answer))
	done.Answer = nil
	require.Equal(t, &bridge.Submitted{Source: "get3w", ID: "pred_1", Model: "get3w/flux-dev", Status: "created", EstimatedDuration: 52}, done)
	require.Equal(t, []string{`{"webhook_url":"https://hooks.example.com/webhooks/get3w/` + pathToken +
		`?ref=order%201%26%C3%A9&tenant=team-a&order=7%2F8","prompt":"a cat","seed":12345678901234567890}`}, r.bodies)
	require.Equal(t, []*bridge.Watch{{
		Source: "get3w", Prediction: "pred_1", Model: "get3w/flux-dev", Deadline: sub.Deadline.UTC(), EstimatedDuration: 52,
		Reference: sub.Reference, Tenant: "team-a", Metadata: sub.Metadata, Submitted: true,
	}}, r.watches(t))
	require.InDelta(t, 1, r.count(resultAccepted), 0)
}

// The provider's copies of the webhook address are cut out, and impossible values are left
// out.
func TestAnswerIsCensored(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, `{"id":"pred_1","status":"created","estimated_duration":1e99,"input":{"webhook_url":"https://x/`+pathToken+`"}}`))
	done := r.submitted(t, submission("k"))
	require.JSONEq(t, `{"id":"pred_1","status":"created","estimated_duration":1e99,"input":{"webhook_url":"https://x/[censored]"}}`, string(done.Answer))
	require.Zero(t, done.EstimatedDuration)
	require.Len(t, r.watches(t), 1)
	require.NotEqual(t, recordKey("a", "k"), recordKey("b", "k"), "sources have keys of their own")
}

// Recording has its own time.
func TestRecordedWhenTheTimeIsUp(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	o, err := r.prepare(submission(""), time.Now())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = r.accept(ctx, o, []byte(`{"id":"pred_1"}`))
	require.NoError(t, err)
	require.Len(t, r.watches(t), 1)
}

// The answer comes after the event is stored, also after failed tries.
func TestRecordedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, `{"id":"pred/1","status":"created","estimated_duration":-1}`))
	tries := 0
	r.publishes(func(*bridge.Event) error {
		if tries++; tries < 3 {
			return bridge.ErrUnknown
		}
		return nil
	})
	require.Equal(t, "pred/1", r.submitted(t, submission("")).ID)
	require.Equal(t, 3, tries)
	require.Len(t, r.watches(t), 1)
	require.Zero(t, r.watches(t)[0].EstimatedDuration)
}

// The provider has accepted it and the store does not take it: the client and the log get
// the prediction's id.
func TestUnrecorded(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, `{"id":"a/b","status":"created"}`))
	r.publishes(func(*bridge.Event) error { return bridge.ErrUnavailable })
	failed := fails(t, r.Submitter, submission("k"))
	require.Equal(t, http.StatusBadGateway, failed.Status)
	require.Contains(t, failed.Detail, "submitted as a/b")
	require.Contains(t, failed.Detail, "PUT /api/v1/predictions/get3w/a%2Fb")
	require.Equal(t, 1, r.logs.FilterLevelExact(2).Len(), "it is logged once")
	require.InDelta(t, 1, r.count(resultUnrecorded), 0)
	require.Empty(t, r.watches(t))

	// Under the same key it is recorded and not sent again.
	require.True(t, fails(t, r.Submitter, submission("k")).Unknown)
	r.publishes(nil)
	for range 2 {
		done := r.submitted(t, submission("k"))
		require.Equal(t, "a/b", done.ID)
		require.True(t, done.Replayed)
	}
	require.Len(t, r.watches(t), 1)
	require.EqualValues(t, 1, r.posts.Load())
}

func TestIDThatCannotBeWatched(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, `{"data":{"id":"`+strings.Repeat("x", 1<<20)+`"}}`))
	failed := fails(t, r.Submitter, submission(""))
	for _, entry := range r.logs.All() {
		for name, value := range entry.ContextMap() {
			require.Less(t, len(fmt.Sprint(value)), 1<<10, "%s is logged whole", name)
		}
	}
	require.True(t, failed.Unknown)
	require.Contains(t, failed.Detail, "submitted as xxx")
}

// A client that leaves, at any time, loses nothing.
func TestClientGoes(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k"} {
		ctx, cancel := context.WithCancel(context.Background())
		r := setup(t, says(200, created))
		cancel()
		done, err := r.Submit(ctx, submission(key), nil)
		require.NoError(t, err)
		require.Equal(t, "pred_1", done.ID)
		require.Len(t, r.watches(t), 1)
	}
}

func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	r := setup(t, nil)
	for _, status := range []int{400, 401, 403, 404, 422, 429} {
		r.answers(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Retry-After", "17")
			says(status, `{"code":1,"message":"no `+pathToken+`","data":null}`)(w, req)
		})
		failed := fails(t, r.Submitter, submission("same key"))
		require.Equal(t, status, failed.Status)
		require.False(t, failed.Unknown)
		require.Contains(t, failed.Detail, "no [censored]")
		require.Contains(t, failed.Detail, "The provider answered")
		require.Contains(t, failed.Detail, "no [censored]. It was not submitted.")
		require.Equal(t, status == 401 || status == 403, strings.Contains(failed.Detail, "sources.get3w.api.key"), status)
		require.Equal(t, 17*time.Second, failed.RetryAfter)
	}
	require.EqualValues(t, 6, r.posts.Load(), "what was refused is sent again when the client asks for it")
	r.answers(says(200, created))
	require.False(t, r.submitted(t, submission("same key")).Replayed)
	require.InDelta(t, 5, r.count(resultRefused), 0)
	require.InDelta(t, 1, r.count(resultBusy), 0)
}

func TestOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"it accepts and fails": acceptsAndFails, "500": says(500, `{"message":"oops"}`), "503": says(503, ""), "HTML": says(200, "<html>"),
		"408 of a proxy": says(408, ""), "499 of a proxy": says(499, ""), "460 of a proxy": says(460, ""),
		"an error in 200": says(200, `{"code":500,"message":"oops","data":null}`), "no id": says(200, `{"data":{"status":"created"}}`), "null": says(200, `{"code":200,"data":null}`),
		"a redirect": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "https://elsewhere.example", http.StatusFound)
		},
		"a stray event": events("data: {}\n\n"),
	} {
		r := setup(t, answer)
		failed := fails(t, r.Submitter, submission("k"))
		require.Equal(t, http.StatusBadGateway, failed.Status, name)
		require.True(t, failed.Unknown, name)
		require.Contains(t, failed.Detail, "not known", name)
		again := fails(t, r.Submitter, submission("k"))
		require.Equal(t, http.StatusConflict, again.Status, name)
		require.Contains(t, again.Detail, "not sent again", name)
		require.Zero(t, again.RetryAfter)
		require.EqualValues(t, 1, r.posts.Load(), "%s: it could cost twice", name)
	}
}

// The provider's own words may help to find what was paid for.
func TestOutcomeIsUnknownAndNamed(t *testing.T) {
	t.Parallel()
	r := setup(t, nil)
	for i, c := range []struct {
		status        int
		answer, words string
	}{
		{200, `{"code":400,"message":"no","data":{"id":"pred_1","status":"created"}}`, `"pred_1"`},
		{400, `{"code":400,"message":"no","data":{"id":"pred_1","status":"failed"}}`, `"pred_1"`},
		{422, `{"id":"pred_1","status":"failed","error":"no"}`, `"pred_1"`},
		{200, `{"data":{"id":4711,"status":"created"}}`, `"4711"`},
		{200, `{"data":{"id":["` + strings.Repeat("x", 1<<20) + `"]}}`, `xxx`},
	} {
		r.answers(says(c.status, c.answer))
		failed := fails(t, r.Submitter, submission(fmt.Sprint(i)))
		require.Equal(t, http.StatusBadGateway, failed.Status, c.answer)
		require.True(t, failed.Unknown)
		require.Contains(t, failed.Detail, c.words)
		require.Less(t, len(failed.Error()), 4<<10)
		require.Equal(t, http.StatusConflict, fails(t, r.Submitter, submission(fmt.Sprint(i))).Status)
	}
	require.EqualValues(t, 5, r.posts.Load())
}

func TestNothingWasSent(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	away := r.url
	r.url = "http://127.0.0.1:1"
	s := r.process(t, nil)
	failed := fails(t, s, submission("k"))
	require.Equal(t, http.StatusServiceUnavailable, failed.Status)
	require.NotZero(t, failed.RetryAfter)
	require.Contains(t, failed.Detail, "nothing was sent")
	r.url = away
	require.False(t, r.submitted(t, submission("k")).Replayed, "the key is free again")
}

// Nothing is sent while it could not be recorded.
func TestNothingIsSentThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	full := true
	s := r.process(t, func(c *Config) {
		c.Unable = func(context.Context) string {
			if full {
				return "it is full"
			}
			return ""
		}
	})
	failed := fails(t, s, submission("k"))
	require.Equal(t, http.StatusServiceUnavailable, failed.Status)
	require.NotZero(t, failed.RetryAfter)
	require.Contains(t, failed.Detail, "it is full")
	require.Zero(t, r.posts.Load())
	full = false
	done, err := s.Submit(context.Background(), submission("k"), nil)
	require.NoError(t, err)
	require.False(t, done.Replayed, "the key is free again")
	full = true
	done, err = s.Submit(context.Background(), submission("k"), nil)
	require.NoError(t, err)
	require.True(t, done.Replayed, "that sends nothing")
}

func TestWhatCannotBeSubmitted(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	long := strings.Repeat("x", 1025)
	for name, c := range map[string]struct {
		change func(*adminapi.Submission)
		status int
		words  string
	}{
		"source":      {func(s *adminapi.Submission) { s.Source = "other" }, 404, "No source"},
		"model":       {func(s *adminapi.Submission) { s.Model = "a/../b" }, 400, "model"},
		"own webhook": {func(s *adminapi.Submission) { s.Body = []byte(`{"a":1,"webhook\u005furl":"https://evil.example"}`) }, 400, "the bridge puts in its own"},
		"its case":    {func(s *adminapi.Submission) { s.Body = []byte(`{"Webhook_URL":null}`) }, 400, "the bridge puts in its own"},
		"stream":      {func(s *adminapi.Submission) { s.Body = []byte(`{"stream":"true"}`) }, 400, "neither true nor false"},
		"no object":   {func(s *adminapi.Submission) { s.Body = []byte(`[]`) }, 400, "not a JSON object"},
		"nothing":     {func(s *adminapi.Submission) { s.Body = nil }, 400, "not a JSON object"},
		"two":         {func(s *adminapi.Submission) { s.Body = []byte(`{}{}`) }, 400, "behind"},
		"cut off":     {func(s *adminapi.Submission) { s.Body = []byte(`{"a":`) }, 400, "not one JSON object"},
		"twice":       {func(s *adminapi.Submission) { s.Body = []byte(`{"a":{"b":1,"b":2}}`) }, 400, "not one JSON object"},
		"encoding":    {func(s *adminapi.Submission) { s.Body = []byte("{\"a\":\"\xff\"}") }, 400, "not one JSON object"},
		"too large":   {func(s *adminapi.Submission) { s.Body = []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`) }, 400, "at most"},
		"deadline":    {func(s *adminapi.Submission) { s.Deadline = time.Now().Add(365 * 24 * time.Hour) }, 400, "deadline"},
		"reference":   {func(s *adminapi.Submission) { s.Reference = long }, 400, "reference"},
		"metadata":    {func(s *adminapi.Submission) { s.Metadata = map[string]string{"x": long} }, 400, "metadata x"},
		"meta name":   {func(s *adminapi.Submission) { s.Metadata = map[string]string{"X Y": "z"} }, 400, "X Y"},
		"key":         {func(s *adminapi.Submission) { s.IdempotencyKey = "a\nb" }, 400, "idempotency key"},
		"long key":    {func(s *adminapi.Submission) { s.IdempotencyKey = long }, 400, "idempotency key"},
	} {
		sub := submission("")
		c.change(&sub)
		failed := fails(t, r.Submitter, sub)
		require.Equal(t, c.status, failed.Status, name)
		require.Contains(t, failed.Detail, c.words, name)
	}
	for words, change := range map[string]func(*Config){
		"set ingress.public_url":    func(c *Config) { c.PublicURL = "" },
		"set sources.get3w.api.key": func(c *Config) { c.Source = func(string) (Source, bool) { return Source{}, true } },
	} {
		failed := fails(t, r.process(t, change), submission(""))
		require.Equal(t, http.StatusServiceUnavailable, failed.Status)
		require.Contains(t, failed.Detail, words)
	}
	require.Zero(t, r.posts.Load(), "nothing is paid for")
	require.InDelta(t, 1, testutil.ToFloat64(r.total.WithLabelValues("", resultRefused)), 0, "anybody's text is no label")
}

// Before it ends, a process records what it has sent.
func TestClose(t *testing.T) {
	t.Parallel()
	sent, closed := make(chan struct{}), make(chan struct{})
	r := setup(t, func(w http.ResponseWriter, req *http.Request) {
		close(sent)
		<-closed
		says(200, created)(w, req)
	})
	answered := make(chan error, 1)
	go func() {
		_, err := r.Submit(context.Background(), submission(""), nil)
		answered <- err
	}()
	<-sent
	ended := make(chan struct{})
	go func() { r.Close(); close(ended) }()
	<-r.stopping.Done()
	require.Equal(t, http.StatusServiceUnavailable, fails(t, r.Submitter, submission("")).Status)
	select {
	case <-ended:
		t.Fatal("it was not waited for")
	default:
	}
	close(closed)
	<-ended
	require.NoError(t, <-answered)
	require.Len(t, r.watches(t), 1)
}

// A full store does not hold the client up.
func TestStoreThatNeverTakesIt(t *testing.T) {
	t.Parallel()
	r := setup(t, says(200, created))
	tries := 0
	r.publishes(func(*bridge.Event) error { tries++; return errors.Join(bridge.ErrTooLarge) })
	require.True(t, fails(t, r.Submitter, submission("")).Unknown)
	require.Equal(t, 1, tries)
}
