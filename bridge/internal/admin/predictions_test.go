package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/predictions/watches"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

const patience = 20 * time.Second

// known is a view that knows what it was told.
type known struct {
	*await.Past

	mu     sync.Mutex
	states []bridge.PredictionState
	asked  adminapi.PredictionSelection // by the last list
	behind bool
}

func (k *known) Prediction(_ context.Context, source, id string) (*bridge.PredictionState, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.states {
		if s.Source == source && s.ID == id {
			s.Outputs = slices.Clone(s.Outputs) // the caller's own, as from the view
			return &s, nil
		}
	}
	return nil, bridge.ErrNotFound
}

func (k *known) List(_ context.Context, sel adminapi.PredictionSelection) (list adminapi.PredictionList, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = sel
	if sel.Cursor == "wrong" {
		return list, fmt.Errorf("reading: %w", adminapi.ErrCursor)
	}
	list.Predictions, list.Next = []adminapi.Prediction{}, "more"
	for _, s := range k.states {
		list.Predictions = append(list.Predictions, adminapi.NewPrediction(&s))
	}
	return list, nil
}

func (k *known) Timeline(ctx context.Context, source, id, cursor string) (line adminapi.Timeline, err error) {
	s, err := k.Prediction(ctx, source, id)
	switch {
	case cursor == "wrong":
		return line, fmt.Errorf("reading: %w", adminapi.ErrCursor)
	case cursor == "away":
		return line, fmt.Errorf("asking: %w", adminapi.ErrNoAnswer)
	case err != nil:
		return line, err
	}
	return adminapi.Timeline{Prediction: *s, Events: []adminapi.TimelineEvent{}, Next: cursor}, nil
}

func (k *known) Behind() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.behind
}

func (k *known) UpToDate() bool { return !k.Behind() }

func (*known) Life(string) time.Duration { return 7 * 24 * time.Hour }

// predictionsBench is a server with predictions in a real NATS.
type predictionsBench struct {
	*streamtest.Bench
	*admin.Server

	t     *testing.T
	hub   *await.Hub
	known *known
	store watches.Publisher
}

func startPredictions(t *testing.T) *predictionsBench {
	t.Helper()
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	b := onNATS(t, s)
	run(t, s)
	return b
}

func onNATS(t *testing.T, s *admin.Server) *predictionsBench {
	t.Helper()
	b := &predictionsBench{Bench: streamtest.Start(t, streamtest.Config()), Server: s, t: t}
	b.store = b.Publisher()
	b.known = &known{Past: await.NewPast(b.JS, b.Names)}
	b.hub = await.New(b.JS, b.known, b.Names, nil)
	t.Cleanup(b.hub.Close)
	announcer := watches.NewAnnouncer(b.store, func(source string) bool { return source == "get3w" })
	s.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, b.known, b.hub, announcer) })
	return b
}

// tell stores an event of the provider.
func (b *predictionsBench) tell(id, status string) *bridge.Event {
	b.t.Helper()
	e := natstest.Event(id)
	e.Status, e.RawStatus, e.ID = status, status, bridge.NewEventID(id, status, nil)
	e.Body = []byte(`{"id":"x","status":"` + status + `","outputs":["https://cdn.get3w.com/a.png"],"completed_at":"2020-01-01T00:00:00Z"}`)
	r, err := b.store.Publish(b.t.Context(), e)
	require.NoError(b.t, err)
	e.Sequence = r.Sequence
	return e
}

// fold folds all events of a prediction into the view.
func (b *predictionsBench) fold(events ...*bridge.Event) {
	b.t.Helper()
	var s bridge.PredictionState
	for _, e := range events {
		fold.Fold(&s, e, fold.At{Sequence: e.Sequence, StoredAt: time.Now()})
	}
	b.known.mu.Lock()
	b.known.states = append(slices.DeleteFunc(b.known.states, func(have bridge.PredictionState) bool { return have.ID == s.ID }), s)
	b.known.mu.Unlock()
	b.hub.Reread(s.Source, s.ID)
}

func (b *predictionsBench) put(path, body string) answer {
	b.t.Helper()
	return do(b.t, b.Server, http.MethodPut, "/api/v1/predictions/"+path, body, map[string]string{"Content-Type": "application/json"})
}

func (b *predictionsBench) get(path string) answer {
	b.t.Helper()
	return get(b.t, b.Server, "/api/v1/predictions"+path)
}

func (a answer) state(t *testing.T) *bridge.PredictionState {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	var s bridge.PredictionState
	require.NoError(t, json.Unmarshal([]byte(a.body), &s))
	return &s
}

func TestListOfPredictions(t *testing.T) {
	b := startPredictions(t)
	require.JSONEq(t, `{"predictions":[],"next":"more"}`, b.get("").body)
	b.fold(b.tell("a", "completed"))
	b.fold(b.tell("b", "processing"))
	a := b.get("?source=get3w&status=completed&model=google/*&reference=order+7&tenant=acme&since=2026-01-31T12:00:00Z&until=2026-02-01T12:00:00Z&open=true&limit=7&cursor=x")
	require.Equal(t, 200, a.status, a.body)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	require.Equal(t, adminapi.PredictionSelection{
		Source: "get3w", Status: "completed", Model: "google/*", Reference: "order 7", Tenant: "acme",
		Since: at, Until: at.AddDate(0, 0, 1), Open: true, Limit: 7, Cursor: "x",
	}, b.known.asked)
	var list adminapi.PredictionList
	require.NoError(t, json.Unmarshal([]byte(a.body), &list))
	require.Len(t, list.Predictions, 2)
	require.Equal(t, "more", list.Next)
	require.Equal(t, 200, b.get("").status)
	require.Equal(t, adminapi.PredictionSelection{Limit: 100}, b.known.asked)
	for _, wrong := range []string{"?open=maybe", "?limit=0", "?limit=1001", "?source=A", "?since=x", "?until=x", "?cursor=wrong"} {
		require.Equal(t, 400, b.get(wrong).status, wrong)
	}
}

// A search is one of the list, with its parameters. What it cannot be is told with the term.
func TestSearchOfPredictions(t *testing.T) {
	b := startPredictions(t)
	search := func(q, more string) answer { return b.get("?q=" + url.QueryEscape(q) + more) }
	before := time.Now()
	a := search(`pred_ model:google/* ref:"order 7" consumer:billing=failing missing expires<24h since:2h`, "&source=get3w&until=2036-01-31T12:00:00Z&limit=7")
	require.Equal(t, 200, a.status, a.body)
	asked := b.known.asked
	require.WithinRange(t, asked.Since, before.Add(-2*time.Hour), time.Now().Add(-2*time.Hour))
	require.WithinRange(t, asked.ExpiresBefore, before.Add(24*time.Hour), time.Now().Add(24*time.Hour))
	asked.Since, asked.ExpiresBefore = time.Time{}, time.Time{}
	require.Equal(t, adminapi.PredictionSelection{
		IDPrefix: "pred_", Source: "get3w", Model: "google/*", Reference: "order 7", Missing: true, Limit: 7, Until: time.Date(2036, 1, 31, 12, 0, 0, 0, time.UTC),
		Consumers: []adminapi.ConsumerStanding{{Consumer: "billing", State: adminapi.StandingFailing}},
	}, asked)
	require.Equal(t, 200, search("since:2026-01-01T00:00:00Z", "&since=2026-01-31T12:00:00Z").status)
	require.Equal(t, 31, b.known.asked.Since.Day(), "both must match")
	require.Equal(t, 200, search("source:get3w", "&source=get3w").status)
	for _, strange := range []string{"%_*", "' OR 1=1 --", `"; DROP TABLE predictions; --"`, "\"\x00\u202e\x1b[2J\"", "<script>alert(1)</script>"} {
		if a := search(strange, ""); a.status != 200 {
			require.Equal(t, 400, a.status, strange)
			require.NotContains(t, a.detail(t), "\x1b")
		}
	}
	for q, why := range map[string]string{
		"color:red": "possible are", strings.Repeat("x", 10<<10): "at most 1024", "\xff": "not UTF-8", "source:other": "q and source ask for two values", "expires<1": "24h",
	} {
		a := search(q, "&source=get3w")
		require.Equal(t, 400, a.status, q)
		require.Contains(t, a.detail(t), why)
	}
}

// A timeline answers unknown predictions, cursors and a NATS that is away as such.
func TestTimelineOfAPrediction(t *testing.T) {
	b := startPredictions(t)
	b.fold(b.tell("a/b", "completed"))
	a := b.get("/get3w/a%2Fb/timeline?cursor=x")
	require.Equal(t, 200, a.status, a.body)
	var line adminapi.Timeline
	require.NoError(t, json.Unmarshal([]byte(a.body), &line))
	require.Equal(t, "a/b", line.Prediction.ID)
	require.Equal(t, "x", line.Next)
	a = b.get("/get3w/nobody/timeline")
	require.Equal(t, 404, a.status)
	require.Equal(t, b.get("/get3w/nobody").detail(t), a.detail(t))
	require.Equal(t, 400, b.get("/get3w/a%2Fb/timeline?cursor=wrong").status)
	require.Equal(t, 400, b.get("/GET3W/x/timeline").status)
	a = b.get("/get3w/a%2Fb/timeline?cursor=away")
	require.Equal(t, 503, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

// viewed is a view.
type viewed struct{ rebuilt chan struct{} }

func (viewed) Status(context.Context) (adminapi.ViewStatus, error) {
	return adminapi.ViewStatus{Leader: "host/1", Streams: map[string]adminapi.ViewStream{"HOOKSPAN_EVENTS": {Folded: 7}}, Sources: map[string]adminapi.SourceStatus{"get3w": {Open: 1}}}, nil
}

func (v viewed) Rebuild() { v.rebuilt <- struct{}{} }

func TestViewStatusAndRebuild(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	v := viewed{make(chan struct{}, 1)}
	s.SetAPI(func(api *echo.Group) { admin.RegisterView(api, v) })
	var status adminapi.ViewStatus
	require.NoError(t, json.Unmarshal([]byte(get(t, s, "/api/v1/view").body), &status))
	require.Equal(t, "host/1", status.Leader)
	require.EqualValues(t, 7, status.Streams["HOOKSPAN_EVENTS"].Folded)
	a := do(t, s, http.MethodPost, "/api/v1/view/rebuild", "{}", asJSON)
	require.JSONEq(t, `{"rebuilding":true}`, a.body)
	<-v.rebuilt
}

func TestShowKnowsWhatTheViewDoes(t *testing.T) {
	b := startPredictions(t)
	a := b.get("/get3w/a")
	require.Equal(t, 404, a.status)
	require.Contains(t, a.detail(t), "Nothing is known")
	e := b.tell("a", "completed")
	s := b.get("/get3w/a").state(t)
	require.Equal(t, "completed", s.Status, "by its events")
	require.Equal(t, bridge.CustodyExpired, s.Outputs[0].Custody, "they are years old")
	b.fold(e)
	require.Equal(t, e.Sequence, b.get("/get3w/a").state(t).Sequence)
	for _, wrong := range []string{"/get3w/a?wait=soon", "/get3w/a?wait=6m", "/get3w/a?wait=-1s", "/GET3W/a", "/get3w/%2E%2E", "/get3w/.", "/get3w/%FF", "/get3w/" + strings.Repeat("x", 257)} {
		require.Equal(t, 400, b.get(wrong).status, wrong)
	}
}

// An id is one segment, percent-encoded, and arrives unchanged.
func TestIDsSurviveThePath(t *testing.T) {
	b := startPredictions(t)
	for _, id := range []string{
		"a/b", "a?b", "a%b", "%2F", "/", "//", "a b", "a+b", "a#b", "a..b", "...", ".a", "events", "status", "ü/ü", `"\`, ":", "*", ":id", "a;b=c", "%", "%%", "a/events", "../../x", "%2e%2e",
	} {
		path := "get3w/" + url.PathEscape(id)
		a := b.put(path, "{}")
		require.Equal(t, 200, a.status, "%s: %s", id, a.body)
		var watched bridge.Watched
		require.NoError(t, json.Unmarshal([]byte(a.body), &watched))
		require.Equal(t, bridge.Stored, watched.Result)
		require.True(t, strings.HasPrefix(watched.ID, id+"/watch/"), "%q of %q", watched.ID, id)
		require.Equal(t, id, b.get("/"+path).state(t).ID)
	}
	require.Equal(t, "%2F", b.get("/get3w/%252F").state(t).ID)
	require.Equal(t, "/", b.get("/get3w/%2F").state(t).ID)
	require.Equal(t, "/", b.get("/get3w/%2f").state(t).ID)
}

func TestWatching(t *testing.T) {
	b := startPredictions(t)
	body := `{"model":"get3w/flux-dev","reference":"order 7","tenant":"acme","estimated_duration":20,"metadata":{"order":"7"}}`
	var watched bridge.Watched
	require.NoError(t, json.Unmarshal([]byte(b.put("get3w/a", body).body), &watched))
	require.Equal(t, bridge.Stored, watched.Result)
	require.NoError(t, json.Unmarshal([]byte(b.put("get3w/a", body).body), &watched))
	require.Equal(t, bridge.Duplicate, watched.Result)
	s := b.get("/get3w/a").state(t)
	require.True(t, s.Open())
	require.Equal(t, "order 7", s.Announced.Reference)
	require.Equal(t, map[string]string{"order": "7"}, s.Announced.Metadata)
	require.False(t, s.Announced.Submitted)
	for wrong, status := range map[string]int{
		`{"prediction":"b"}`: 400, `{"submitted":true}`: 400, `{"deadline":"soon"}`: 400, `{"deadline":"2001-01-01T00:00:00Z"}`: 400,
		`{"estimated_duration":-1}`: 400, ``: 400, `{"metadata":{"A b":"c"}}`: 400, `{"prediction":"a"}`: 200, `{} {}`: 400, `{}x`: 400,
	} {
		require.Equal(t, status, b.put("get3w/a", wrong).status, wrong)
	}
	require.Equal(t, 404, b.put("other/a", "{}").status)
	require.Equal(t, 415, do(t, b.Server, http.MethodPut, "/api/v1/predictions/get3w/a", "{}", nil).status)
}

type failing struct{ err error }

func (f failing) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{}, f.err
}

func TestWatchingWhenNothingCanBeStored(t *testing.T) {
	b := startPredictions(t)
	for err, status := range map[error]int{bridge.ErrFull: 503, bridge.ErrUnknown: 503, bridge.ErrTooLarge: 413, errors.New("a bug"): 500} {
		announcer := watches.NewAnnouncer(failing{err}, func(string) bool { return true })
		b.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, b.known, b.hub, announcer) })
		a := b.put("get3w/a", "{}")
		require.Equal(t, status, a.status, a.body)
		require.Equal(t, status == 503, a.header.Get("Retry-After") != "")
	}
}
