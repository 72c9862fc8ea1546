package app

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validation "github.com/pb33f/libopenapi-validator/config"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Each route of the API that a process serves has an operation in the document that it
// serves, and each operation has a route.
func TestOpenAPIDocumentHasEveryRoute(t *testing.T) {
	a, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	router := echo.New()
	a.registerAPI(router.Group(admin.APIPrefix), work{})
	routes := []string{}
	for _, r := range router.Routes() {
		routes = append(routes, r.Method+" "+documentedPath(r.Path))
	}

	for _, r := range router.Routes() { // no route takes another method
		path := strings.NewReplacer(":", "", "*", "a").Replace(r.Path)
		status, _ := answerOf(t, a, http.MethodDelete, path, "", func(*http.Request, *http.Response) {})
		require.Equal(t, 405, status, path)
	}
	text := documentOf(t, a)
	var document struct {
		Paths map[string]map[string]yaml.Node
	}
	require.NoError(t, yaml.Unmarshal(text, &document))
	operations := []string{}
	for path, item := range document.Paths {
		for name := range item {
			if method := strings.ToUpper(name); strings.HasPrefix(path, admin.APIPrefix) && method != "PARAMETERS" {
				operations = append(operations, method+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(operations)
	require.Equal(t, operations, routes)
}

// documentOf returns the document that a process serves.
func documentOf(t *testing.T, a *App) []byte {
	t.Helper()
	status, text := answerOf(t, a, http.MethodGet, "/api/openapi.yaml", "", func(*http.Request, *http.Response) {})
	require.Equal(t, 200, status)
	return text
}

// answerOf returns the answer of the API, at which check looks first.
func answerOf(t *testing.T, a *App, method, path, body string, check func(*http.Request, *http.Response)) (status int, text []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.operators.Addr().String()+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body = io.NopCloser(bytes.NewReader(text))
	check(req, res)
	return res.StatusCode, text
}

// What a process answers is as it documents, with the real parts behind the routes: when it has
// nothing yet, and when it has something of most things.
func TestOpenAPIDocumentIsWhatAProcessAnswers(t *testing.T) {
	a, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	doc, err := libopenapi.NewDocument(documentOf(t, a))
	require.NoError(t, err)
	valid, errs := validator.NewValidator(doc, validation.WithFormatAssertions())
	require.Empty(t, errs)
	ask := func(method, path, body string) (status int, text []byte) {
		return answerOf(t, a, method, admin.APIPrefix+path, body, func(req *http.Request, res *http.Response) {
			_, faults := valid.ValidateHttpResponse(req, res)
			for _, fault := range faults {
				t.Errorf("%s %s is answered %s: %s %s %v", method, path, res.Status, fault.Message, fault.Reason, fault.SchemaValidationErrors)
			}
		})
	}
	lists := []string{
		"/alarms", "/alarms?active=true", "/audit", "/config", "/consumers", "/consumers/handle/history", "/consumers/nobody/history", "/dead", "/dead/groups", "/doctor", "/events", "/jobs", "/journal", "/me", "/models", "/names", "/predictions",
		"/predictions?q=a", "/quarantine", "/quarantine/causes", "/sources", "/status", "/view",
	}
	all := func() {
		for _, path := range lists {
			status, text := ask(http.MethodGet, path, "")
			require.Equal(t, 200, status, "%s: %s", path, text)
		}
	}
	all()
	for _, path := range []string{"/alarms", "/alarms?active=true&limit=1", "/audit", "/dead", "/dead/groups", "/events", "/jobs", "/models", "/predictions", "/predictions?q=a", "/quarantine"} {
		for _, cursor := range []string{"!", "%00", strings.Repeat("z", 300), "1.2.3.4", "%2e%2e%2f", "%f0%28"} {
			join := "?"
			if strings.Contains(path, "?") {
				join = "&"
			}
			status, text := ask(http.MethodGet, path+join+"cursor="+cursor, "")
			require.Equal(t, 400, status, "%s %s: %s", path, cursor, text)
		}
	}

	require.Eventually(t, func() bool {
		var history adminapi.ConsumerHistory
		_, text := ask(http.MethodGet, "/consumers/handle/history", "")
		return json.Unmarshal(text, &history) == nil && len(history.Backlog) > 0
	}, time.Minute, 10*time.Millisecond, "what waits is written down from the start on")
	require.True(t, accepts(t, a, "pred_1"))
	status, text := ask(http.MethodPut, "/predictions/get3w/pred_2", `{"tenant":"acme","deadline":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	require.Equal(t, 200, status, string(text))
	require.Eventually(t, func() bool {
		status, _ = ask(http.MethodGet, "/predictions/get3w/pred_1/timeline", "")
		return status == 200
	}, time.Minute, 10*time.Millisecond)
	calls := map[string][]string{
		"/jobs":        {`{"kind":"reverify","dry_run":true}`, `{"kind":"redrive","all":true,"dry_run":true}`, `{"kind":"redrive","group":"G","dry_run":true}`, `{"kind":"drop_dead","all":true,"expect":0}`, `{"kind":"erase","tenant":"nobody","dry_run":true}`},
		"/test-events": {`{"source":"get3w"}`},
		"/erase":       {`{"source":"get3w","prediction":"pred_1","dry_run":true}`},
	}
	for path, bodies := range calls {
		for _, body := range bodies {
			status, text = ask(http.MethodPost, path, body)
			require.Equal(t, 200, status, "%s: %s", body, text)
		}
	}
	var jobs adminapi.JobList
	_, text = ask(http.MethodGet, "/jobs", "")
	require.NoError(t, json.Unmarshal(text, &jobs))
	require.Len(t, jobs.Jobs, 1)
	for _, path := range []string{"/jobs/" + jobs.Jobs[0].ID, "/predictions/get3w/pred_1", "/events/1"} {
		status, text = ask(http.MethodGet, path, "")
		require.Equal(t, 200, status, "%s: %s", path, text)
	}
	status, text = ask(http.MethodPost, "/jobs/"+jobs.Jobs[0].ID+"/cancel", "{}")
	require.Equal(t, 200, status, string(text))
	all()
}

// documentedPath writes a route's path as the document does. The rest of a path, which can be
// several segments, is the parameter id.
func documentedPath(route string) string {
	parts := strings.Split(route, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
		if part == "*" {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}
