package console

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestTheProviderIsAsked(t *testing.T) {
	t.Parallel()
	var polled adminapi.Polled
	c, api := newFake(t, map[string]any{"POST /poll": &polled})
	_, page := see(t, c, "/predictions/get3w/nobody")
	require.Contains(t, page, `action="/predictions/poll"`)
	form := url.Values{"source": {"get3w"}, "id": {"nobody"}}
	polled = adminapi.Polled{Result: adminapi.PollOpen, Said: "<b>warming up</b>"}
	_, page = submit(t, c, "/predictions/poll", form)
	require.Contains(t, page, "the provider says <strong>&lt;b&gt;warming up&lt;/b&gt;</strong>")
	require.JSONEq(t, `{"source":"get3w","prediction":"nobody"}`, api.told["/poll"])
	polled = adminapi.Polled{Result: adminapi.PollNotFound}
	_, page = submit(t, c, "/predictions/poll", form)
	require.Contains(t, page, "The provider does not know this prediction.")
	polled = adminapi.Polled{Result: adminapi.PollEnded, Said: "completed"}
	to, _ := submit(t, c, "/predictions/poll", form)
	require.Equal(t, "/predictions/get3w/nobody", to)

	api.answers["POST /poll"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"status":409,"title":"Conflict","detail":"Set sources.get3w.api.key."}`))
	})
	_, page = submit(t, c, "/predictions/poll", form)
	require.Contains(t, page, "Set sources.get3w.api.key.")
	require.Contains(t, page, "Nothing was changed.")

	api.answers["GET /me"] = adminapi.Caller{Name: "anna", Scopes: []string{adminapi.ScopeRead}}
	_, page = see(t, c, "/predictions/get3w/nobody")
	require.NotContains(t, page, `action="/predictions/poll"`, "the visitor may only read")
}

// What an archive does not have leads to what gives the event to it again, as long as that helps.
func TestWhatIsNotArchivedCanBe(t *testing.T) {
	t.Parallel()
	lane := func(state string, dead uint64) predictionData {
		line := sample("pred_1")
		line.Events[0].Lanes = []adminapi.Lane{{Consumer: "archive", State: state, DeadSeq: dead}}
		return predictionData{Timeline: line, Source: "get3w", ID: "pred_1", Handlers: handlersOf(line.Events), Archives: []string{"archive"}}
	}
	for _, c := range []struct {
		state string
		dead  uint64
		path  string
	}{
		{"handled", 0, "/events/replay?back=%2Fpredictions%2Fget3w%2Fpred_1&consumer=archive&handled=1&seqs=7"},
		{"dead_letter", 12, "/dead/redrive?back=%2Fpredictions%2Fget3w%2Fpred_1&consumer=archive&seqs=12"},
		{"waiting", 0, ""},
		{"not_meant", 0, ""},
	} {
		require.EqualValues(t, c.path, lane(c.state, c.dead).Archiving(), c.state)
	}
	d := lane("handled", 0)
	for i := range d.Prediction.Outputs {
		if o := &d.Prediction.Outputs[i]; o.Custody == bridge.CustodyPending {
			o.Custody = bridge.CustodyExpired
		}
	}
	require.Empty(t, d.Archiving(), "the provider has deleted it")
	d = lane("handled", 0)
	d.Archives = nil
	require.Empty(t, d.Archiving())
}

func TestATestEventLeadsToItsPrediction(t *testing.T) {
	t.Parallel()
	source := adminapi.Source{Name: "get3w", Kind: "get3w", Webhook: "http://127.0.0.1:8080/webhooks/get3w", HasSecret: true}
	c, api := newFake(t, map[string]any{
		"GET /sources": adminapi.SourceList{Sources: []adminapi.Source{source, {Name: "bare", Kind: "get3w"}}}, "GET /status": adminapi.Status{}, "GET /predictions": adminapi.PredictionList{},
		"POST /test-events": adminapi.TestEvent{Source: "get3w", Prediction: "test_1"},
	})
	_, page := see(t, c, "/first-run")
	require.Contains(t, page, `name="source" value="get3w"`)
	require.NotContains(t, page, `name="source" value="bare"`, "it has no secret")
	to, _ := submit(t, c, "/first-run/test-event", url.Values{"source": {"get3w"}})
	require.Equal(t, "/predictions/get3w/test_1", to)
	require.Contains(t, api.asked, "GET /predictions/get3w/test_1?wait=3s")
	require.JSONEq(t, `{"source":"get3w"}`, api.told["/test-events"])
	api.answers["GET /me"] = adminapi.Caller{Name: "anna", Scopes: []string{adminapi.ScopeRead}}
	_, page = see(t, c, "/first-run")
	require.NotContains(t, page, "/first-run/test-event")
}

// Each problem leads to where somebody can act.
func TestProblemsLeadToTheirRemedy(t *testing.T) {
	t.Parallel()
	for path, p := range map[string]adminapi.Problem{
		"/predictions?q=missing+source%3Aget3w": {Kind: "missing", Subject: "get3w"},
		"/consumers/a%2Fb":                      {Kind: bridge.AlarmConsumerFailing, Subject: "a/b"},
		"/dead":                                 {Kind: bridge.AlarmDeadLetters},
		"/quarantine":                           {Kind: "quarantine"},
		"/system/alarms?q=clock":                {Kind: bridge.AlarmClock, Subject: "x"},
		"/system/doctor":                        {Kind: "not_ready"},
	} {
		require.EqualValues(t, path, remedyOf(p).Path)
	}
	c, _ := newFake(t, map[string]any{
		"GET /status": adminapi.Status{Predictions: adminapi.StatusPredictions{Expected: 1}, Problems: []adminapi.Problem{{Kind: bridge.AlarmConsumerFailing, Subject: "billing", What: "it fails"}}},
		"GET /consumers": adminapi.ConsumerList{Consumers: []adminapi.ConsumerState{
			{Name: "billing", Dead: 3}, {Name: "mail", State: "paused", PausedUntil: samplePaused},
		}},
	})
	_, page := see(t, c, "/")
	require.Contains(t, page, `<a class="button" href="/consumers/billing">Open the consumer</a>`)
	require.Contains(t, page, `action="/consumers/mail/resume"`)
	require.Contains(t, page, `href="/dead/redrive?back=%2F&amp;consumer=billing"`)
}

var samplePaused = sample("x").Prediction.FirstSeen.AddDate(10, 0, 0)
