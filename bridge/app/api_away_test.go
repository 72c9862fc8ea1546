package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// answeredWithoutNATS are the routes that need no NATS: what the view, the journal and the
// process have. Streams begin, and tell more when NATS is back.
var answeredWithoutNATS = map[string]bool{
	"GET /alarms": true, "GET /alarms/live": true, "GET /audit": true, "GET /config": true, "GET /consumers/:name/history": true, "GET /dead": true, "GET /dead/groups": true, "GET /doctor": true, "GET /events": true, "GET /events/live": true,
	"GET /journal": true, "POST /journal/resend": true, "GET /me": true, "GET /models": true, "GET /predictions": true, "GET /predictions/:source/:id": true,
	"POST /test-events": true, "GET /predictions/:source/:id/events": true, "PUT /predictions/:source/:id": true, "GET /quarantine": true, "GET /sources": true, "GET /status": true, "GET /view": true,
}

// notThereWithoutNATS are routes that are answered 404: the view knows that the prediction of this
// test has no archived output.
var notThereWithoutNATS = map[string]bool{"GET /predictions/:source/:id/outputs/:n": true, "HEAD /predictions/:source/:id/outputs/:n": true}

// wholeCalls are bodies of calls that take more than {}.
var wholeCalls = map[string]string{
	"POST /consumers":            `{"name":"team"}`,
	"POST /consumers/:name/seek": `{"new":true}`,
	"POST /dead/drop":            `{"consumer":"handle"}`,
	"POST /dead/redrive":         `{"consumer":"handle"}`,
	"POST /erase":                `{"source":"get3w","prediction":"pred_1","dry_run":true}`,
	"POST /events/replay":        `{"consumer":"handle"}`,
	"POST /jobs":                 `{"kind":"redrive","consumer":"handle"}`,
	"POST /poll":                 `{"source":"get3w","prediction":"pred_2"}`,
	"POST /test-events":          `{"source":"get3w"}`,
	"POST /quarantine/accept":    `{"seqs":[1]}`,
	"POST /quarantine/drop":      `{"stream":"quarantine"}`,
}

// callOf returns a call of a route that is in order.
func callOf(route string) (method, path, body string) {
	method, path, _ = strings.Cut(route, " ")
	if method != http.MethodGet && method != http.MethodHead {
		if body = wholeCalls[route]; body == "" {
			body = "{}"
		}
	}
	return method, admin.APIPrefix + strings.NewReplacer(
		"jobs/:id", "jobs/"+strings.Repeat("a", 26), ":name", "team", ":n", "0", ":seq", "1", ":stream", "quarantine", ":source", "get3w", ":id", "pred_1", "*", "get3w/flux",
	).Replace(path), body
}

// While NATS hangs or is gone, every route answers what it can without it, or 503 and what to
// do: never 500, and never nothing.
func TestAPIWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	proxy := natstest.NewProxy(t, x)
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+strings.Replace(freePorts, `nats: {listen: "127.0.0.1:0"`, `nats: {url: "`+proxy.URL()+`"`, 1)))
	require.NoError(t, err)
	a, err := New(cfg, Options{Getenv: func(name string) (string, bool) { return sampleSecret, name == "GET3W_WEBHOOK_SECRET" }, Log: io.Discard})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	require.True(t, accepts(t, a, "pred_1"))
	streams := a.cfg.Names()
	require.Eventually(t, func() bool {
		return a.view.Folded(streams.EventsStream()) > 0 && !a.view.CompleteUntil(streams.DeadStream()).IsZero() &&
			!a.view.CompleteUntil(streams.QuarantineStream()).IsZero() && !a.view.CompleteUntil(streams.RefusedStream()).IsZero()
	}, time.Minute, 10*time.Millisecond)

	proxy.Silence(true)
	requireAnswersWithoutNATS(t, a)
	x.Stop()
	proxy.Cut()
	requireAnswersWithoutNATS(t, a)

	status, text := answerOf(t, a, http.MethodGet, admin.APIPrefix+"/events", "", func(*http.Request, *http.Response) {})
	require.Equal(t, 200, status)
	var list adminapi.EventList
	require.NoError(t, json.Unmarshal(text, &list))
	require.Len(t, list.Events, 1)
	require.False(t, list.AsOf.IsZero())
}

func requireAnswersWithoutNATS(t *testing.T, a *App) {
	t.Helper()
	var all sync.WaitGroup
	for route := range scopes {
		if route == "POST /view/rebuild" { // the others would have nothing
			continue
		}
		all.Go(func() {
			method, path, body := callOf(route)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, method, "http://"+a.operators.Addr().String()+path, strings.NewReader(body))
			if err != nil {
				t.Errorf("%s: %v", route, err)
				return
			}
			if body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
			if err != nil {
				t.Errorf("%s: %v", route, err)
				return
			}
			defer func() { _ = res.Body.Close() }()
			if answeredWithoutNATS[route] {
				if res.StatusCode != http.StatusOK {
					t.Errorf("%s is answered %s", route, res.Status)
				}
				return
			}
			if notThereWithoutNATS[route] {
				if res.StatusCode != http.StatusNotFound {
					t.Errorf("%s is answered %s", route, res.Status)
				}
				return
			}
			text, err := io.ReadAll(res.Body)
			if res.StatusCode != http.StatusServiceUnavailable || err != nil || !strings.Contains(string(text), ": ") {
				t.Errorf("%s is answered %s: %v: %s", route, res.Status, err, text)
			}
			if res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", route)
			}
		})
	}
	all.Wait()
}
