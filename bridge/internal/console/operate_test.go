package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

const evil = `<script>alert(1)</script>` + "\u001b[31m\u202e"

var prefixed = adminapi.Config{Version: "v9", File: "/etc/h.yaml", Restart: []string{"journal.max_bytes"}, Settings: []adminapi.Setting{
	{Key: "nats.prefix", Value: "wires"}, {Key: "consumers.billing.rate", Value: "50/s", Line: 7}, {Key: "consumers.billing.filter.status", Value: []any{"completed", evil}, Line: 8},
}}

func TestConsumerPage(t *testing.T) {
	t.Parallel()
	state := adminapi.ConsumerState{
		Name: "billing", Kind: "forward", State: consumerstate.Blocked, Since: time.Now().Add(-5 * time.Minute), Reason: evil,
		Filter: []string{"wires.events.>"}, Pending: 12345, Dead: 3, Delivered: 99, Acknowledged: 90,
	}
	c, api := newFake(t, map[string]any{
		"GET /consumers/billing": state, "GET /config": prefixed, "GET /alarms": adminapi.AlarmList{Alarms: []adminapi.Alarm{{Alarm: bridge.Alarm{Kind: "target_down", Text: evil}}}},
		"GET /dead/groups": adminapi.DeadGroupList{Groups: []adminapi.DeadGroup{{ID: "g1", Cause: "refused", Error: evil, Count: 3}}},
	})
	status, page := see(t, c, "/consumers/billing")
	require.Equal(t, http.StatusOK, status, page)
	for _, want := range []string{"about 12,000", "Repair what the reason names", "target down", "50/s", `href="/dead?consumer=billing&amp;group=g1"`, "given up to event 99, done with all up to 90", `action="/consumers/billing/pause"`, "WIRES_EVENTS"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "<script>alert")
	require.NotContains(t, page, "\u001b")
	require.NotContains(t, page, "\u202e")
	require.NotContains(t, page, "/remove", "the configuration names it")
	require.NotContains(t, page, "<details", "no other program may read it")

	api.answers["GET /me"] = adminapi.Caller{Name: "bob", Scopes: []string{"read"}}
	_, page = see(t, c, "/consumers/billing")
	require.NotContains(t, page, "/pause")

	status, page = see(t, c, "/consumers/nobody")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, page, "There is no such thing.")
}

// What a program of another team begins with has the names of its consumer and of the streams.
func TestSnippetsHaveRealNames(t *testing.T) {
	t.Parallel()
	for _, s := range snippets("mine", "wires", true, false) {
		require.NotContains(t, s.Text, "HOOKSPAN_EVENTS", s.Language)
		require.NotContains(t, s.Text, "hookspan.", s.Language)
		require.NotContains(t, s.Text, `hookspan\.`, s.Language)
		require.Contains(t, s.Text, "WIRES_EVENTS", s.Language)
		require.Contains(t, s.Run, `eval "$(hookspan nats-env --consumer mine)"; `, s.Language)
		require.Contains(t, s.Run, "mine", s.Language)
	}
	for _, s := range snippets("mine", "hookspan", false, true) {
		require.Contains(t, s.Run, "NATS_URL=nats://…", s.Language)
		require.Contains(t, s.Text, "HOOKSPAN_EVENTS", s.Language)
	}
}

func TestPauseOfAConsumer(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{"POST /consumers/mine/pause": adminapi.ConsumerState{}, "POST /consumers/mine/resume": adminapi.ConsumerState{}})
	before := time.Now()
	to, _ := submit(t, c, "/consumers/mine/pause", url.Values{"minutes": {"15"}})
	require.Equal(t, "/consumers/mine", to)
	until, err := time.Parse(`{"until":"`+time.RFC3339+`"}`, api.told["/consumers/mine/pause"])
	require.NoError(t, err)
	require.WithinRange(t, until, before.Add(14*time.Minute), before.Add(20*time.Minute))

	api.told = map[string]string{}
	_, _ = submit(t, c, "/consumers/mine/pause", url.Values{"minutes": {""}})
	_, _ = submit(t, c, "/consumers/mine/resume", nil)
	require.Equal(t, map[string]string{"/consumers/mine/pause": "{}", "/consumers/mine/resume": "{}"}, api.told)
	_, page := submit(t, c, "/consumers/mine/pause", url.Values{"minutes": {"soon"}})
	require.Contains(t, page, "whole number of minutes")
}

// A seek is shown before it is done, and what is done is what was shown.
func TestSeekOfAConsumer(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{"POST /consumers/mine/seek": adminapi.ConsumerSeek{From: 5000, To: 120, Left: 7}})
	to, page := submit(t, c, "/consumers/mine/seek", url.Values{"to": {"since"}, "at": {"2026-01-31T15:04:05Z"}})
	require.Empty(t, to)
	require.JSONEq(t, `{"since":"2026-01-31T15:04:05Z","dry_run":true}`, api.told["/consumers/mine/seek"])
	for _, want := range []string{"back from event 5,000 to 120", "4,880", "Up to 7 events", `name="at" value="120"`, `name="sure" value="yes"`} {
		require.Contains(t, page, want)
	}
	api.told = map[string]string{}
	to, _ = submit(t, c, "/consumers/mine/seek", url.Values{"to": {"seq"}, "at": {"120"}, "sure": {"yes"}})
	require.Equal(t, "/consumers/mine", to)
	require.Equal(t, `{"seq":120}`, api.told["/consumers/mine/seek"])

	for form, want := range map[string]string{"to=": "Say where", "to=seq&at=0": "whole number", "to=since&at=tomorrow": "A time is one such as", "to=since&at=-2h": "A time is one such as"} {
		values, err := url.ParseQuery(form)
		require.NoError(t, err)
		_, page := submit(t, c, "/consumers/mine/seek", values)
		require.Contains(t, page, want, form)
	}
	now := time.Now()
	day, err := moment("3d", now)
	require.NoError(t, err)
	require.Equal(t, 72*time.Hour, now.Sub(day))
}

func TestRemovalOfAConsumer(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{"POST /consumers/mine/remove": adminapi.RemovedConsumer{Unsettled: 40, Later: 2, Remembered: 9, Dead: 6}})
	to, page := submit(t, c, "/consumers/mine/remove", nil)
	require.Empty(t, to)
	require.Contains(t, page, "40 events that it has not handled")
	require.Contains(t, page, "6 dead letters stay")
	to, _ = submit(t, c, "/consumers/mine/remove", url.Values{"sure": {"yes"}})
	require.Equal(t, "/consumers", to)
	require.Equal(t, `{"dry_run":true}{}`, api.told["/consumers/mine/remove"])
}

func TestModelsPage(t *testing.T) {
	t.Parallel()
	up, down := 0.032, -0.2
	c, api := newFake(t, map[string]any{"GET /models": adminapi.ModelList{Models: []adminapi.Model{
		{Source: "get3w", Model: `a "b"`, Count: 10, Completed: 9, Failed: 1, FailingShare: 0.1, FailingChange: &up, Inference: adminapi.ModelLag{Count: 1, P50Seconds: 1.5, P95Seconds: 90}, Errors: []adminapi.ModelError{{Error: evil, Count: 1, Prediction: "pred/1"}}},
		{Source: "get3w", Model: "fine", Count: 10, Completed: 10, FailingChange: &down},
	}, Listed: adminapi.Listed{Next: "n1"}}})
	status, page := see(t, c, "/models?q=google/*+source:get3w&since=7d&order=newest")
	require.Equal(t, http.StatusOK, status, page)
	require.Contains(t, api.asked, "GET /models?limit=50&model=google%2F%2A&order=newest&since=7d&source=get3w")
	for _, want := range []string{
		">10 %</a>", "&#43;3.2", "−20.0", "1.5 s", "1 min", `href="/predictions/get3w/pred%2F1"`, "/predictions?q=model%3A%22a&#43;%5C%22b%5C%22%22&#43;source%3Aget3w&#43;status%3Afailed&#43;since%3A7d",
		"cursor=n1", `aria-current="true">7 days`,
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "<script>alert")
	_, page = see(t, c, "/models?q=a+b")
	require.Contains(t, page, "One model can be asked for at a time")
	api.answers["GET /models"] = adminapi.ModelList{}
	_, page = see(t, c, "/models?q=a")
	require.Contains(t, page, "No model matches")
	_, page = see(t, c, "/models")
	require.Contains(t, page, "No prediction ended in this time")
}

func TestLiveFilter(t *testing.T) {
	t.Parallel()
	f, err := liveFilter("status:failed  model:google/* pred_1")
	require.NoError(t, err)
	require.Equal(t, url.Values{"status": {"failed"}, "model": {"google/*"}, "prediction": {"pred_1"}}, f)
	for _, line := range []string{"limit:3", "status:a status:b", "a b"} {
		_, err = liveFilter(line)
		require.Error(t, err, line)
	}
}

func TestLivePage(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{"GET /events": adminapi.EventList{Events: []adminapi.Event{{Seq: 12, Kind: "prediction", Source: "get3w", Prediction: evil, Status: "failed", Model: evil}}}})
	status, page := see(t, c, "/live?q=status:failed")
	require.Equal(t, http.StatusOK, status, page)
	require.Contains(t, page, `hx-sse:connect="/live/rows?last_event_id=12&amp;rate=20&amp;status=failed"`)
	require.NotContains(t, page, "<script>alert")
	require.Contains(t, api.asked, "GET /events?limit=50&status=failed")
	_, page = see(t, c, "/live?q=consumer:billing")
	require.Contains(t, page, `hx-sse:connect="/live/rows?consumer=billing&amp;rate=20"`)
	_, page = see(t, c, "/live?q=limit:9")
	require.Contains(t, page, "cannot be filtered")
}

// Each row stands in one line of the stream, with the id by which the browser goes on. What is
// left out is said in words, and not each time that the API says it.
func TestLiveRows(t *testing.T) {
	t.Parallel()
	c, api := newFake(t, map[string]any{"GET /events/live": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assertDeadlines(t, w)
		_, _ = w.Write([]byte("retry: 1\n\n" +
			"event: event\nid: 7\ndata: {\"seq\":7,\"kind\":\"prediction\",\"source\":\"get3w\",\"prediction\":\"p<b>\",\"status\":\"failed\"}\n\n" +
			"event: sampled\nid: 9\ndata: {\"left_out\":2}\n\n" + "event: sampled\nid: 10\ndata: {\"left_out\":1}\n\n" +
			"event: gap\nid: 20\ndata: {\"left_out\":1234,\"cause\":\"behind\"}\n\n" + ":\nid: 21\n\n"))
	})})
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	res, err := srv.Client().Get(srv.URL + "/live/rows?rate=20&limit=9")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	page := string(body)
	require.Equal(t, http.StatusOK, res.StatusCode, page)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(t, []string{"GET /events/live?rate=20"}, api.asked)
	require.Equal(t, 6, strings.Count(page, "\n\n"), page)
	require.Equal(t, ":\n\n", page[:3], "the browser knows at once that it is connected")
	require.Contains(t, page, "id: 7\ndata: <tr id=\"e7\">")
	require.Contains(t, page, "p&lt;b&gt;")
	require.Contains(t, page, "Up to 2 events are not shown here: more than 20 a second came.")
	require.NotContains(t, page, "Up to 1 events", "it is added to the next one")
	require.Contains(t, page, "Up to 1,234 events are not shown: this page was too far behind.")
	require.Contains(t, page, "id: 21\n\n")
}

// assertDeadlines sets the deadlines that the API sets.
func assertDeadlines(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	control := http.NewResponseController(w)
	require.NoError(t, control.SetReadDeadline(time.Time{}))
	require.NoError(t, control.SetWriteDeadline(time.Now().Add(time.Minute)))
}

func TestSystemPages(t *testing.T) {
	t.Parallel()
	n := 12345
	c, api := newFake(t, map[string]any{
		"GET /view": adminapi.ViewStatus{
			Streams: map[string]adminapi.ViewStream{"WIRES_EVENTS": {Folded: 5, Behind: 2}}, Leader: "host-1",
			Sources: map[string]adminapi.SourceStatus{"get3w": {Open: 4, Overdue: 1, LastWebhook: time.Now().Add(-time.Hour), PolledSince: 3}},
		},
		"GET /journal": adminapi.Journal{Records: 2, Bytes: 1 << 20, MaxBytes: 4 << 20, SetAside: 1, Entries: []adminapi.AsideEntry{{Cause: evil}}},
		"GET /config":  prefixed,
		"GET /doctor":  adminapi.Doctor{Grade: "unsafe", Findings: []adminapi.Finding{{Check: "fsync", Level: "problem", Why: evil, Remedy: "Repair it."}, {Check: "x", Level: "ok"}, {Check: "y", Level: "ok"}}, Unknown: []adminapi.Unchecked{{Check: "nats", Why: "away"}}},
		"GET /alarms":  adminapi.AlarmList{Alarms: []adminapi.Alarm{{Seq: 1, Alarm: bridge.Alarm{Kind: "target_down", Subject: "billing", Text: evil}, Active: true}}, Listed: adminapi.Listed{Next: "a1"}},
		"GET /audit":   adminapi.AuditList{Changes: []adminapi.Change{{Seq: 1, Who: "anna", Route: "POST /dead/redrive", Path: "/dead/redrive", Selection: evil, Count: &n, Status: 200}}, Next: "z", Lost: 2},
	})
	for path, wants := range map[string][]string{
		"/system":                  {"3 ended by polling since", "25 %", "1 message is set aside", "v9", "/etc/h.yaml", "1 key needs a restart", "host-1"},
		"/system/doctor":           {`hx-get="/system/doctor/findings"`, `<noscript><p><a class="button" href="/system/doctor/findings"`},
		"/system/doctor/findings":  {"This deployment is unsafe", "1 problem, 2 ok", "Repair it.", "away"},
		"/system/config":           {"consumers.billing.rate", "line 7", "Needs a restart"},
		"/system/config?all=1":     {"nats.prefix", "default"},
		"/system/config?q=nothing": {"No key matches"},
		"/system/alarms":           {"target down", "billing", "active", "cursor=a1"},
		"/system/audit":            {"anna", "redrove dead letters", `<td class="n">12,345</td>`, "2 lines since the start", "cursor=z"},
	} {
		status, page := see(t, c, path)
		require.Equal(t, http.StatusOK, status, page)
		for _, want := range wants {
			require.Contains(t, page, want, path)
		}
		require.NotContains(t, page, "<script>alert", path)
	}
	_, page := see(t, c, "/system/config")
	require.NotContains(t, page, "nats.prefix", "it has its default")
	_, _ = see(t, c, "/system/alarms?past=1&q=target-down+subject:billing&cursor=c")
	require.Contains(t, api.asked, "GET /alarms?cursor=c&kind=target_down&limit=50&subject=billing")

	delete(api.answers, "GET /journal")
	delete(api.answers, "GET /view")
	_, page = see(t, c, "/system")
	require.Contains(t, page, "This process has no journal.")
	require.Contains(t, page, "Could not ask")
}
