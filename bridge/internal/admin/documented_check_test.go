package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is not as documented fails a test, in each way that it can differ.
func TestUndocumentedIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		path, media, body string
		status            int
	}{
		"documented":           {"/api/v1/names", "application/json", `{"consumers":[],"sources":[]}`, 200},
		"another member":       {"/api/v1/names", "application/json", `{"consumers":[],"sources":[],"secrets":[]}`, 200},
		"a member of a part":   {"/api/v1/dead", "application/json", `{"letters":[],"more":false,"last":0,"cursor":""}`, 200},
		"a missing member":     {"/api/v1/names", "application/json", `{"consumers":[]}`, 200},
		"null":                 {"/api/v1/names", "application/json", `{"consumers":[],"sources":null}`, 200},
		"another media type":   {"/api/v1/names", "text/plain", `{"consumers":[],"sources":[]}`, 200},
		"another status":       {"/api/v1/names", "application/json", `{"consumers":[],"sources":[]}`, 202},
		"another error":        {"/api/v1/names", "application/problem+json", `{"type":"about:blank","title":"x","status":418,"request_id":"x"}`, 418},
		"another parameter":    {"/api/v1/names?all=true", "application/json", `{"consumers":[],"sources":[]}`, 200},
		"an event":             {"/api/v1/predictions/get3w/a/events", "text/event-stream", "event: progress\ndata: {\"progress\":1,\"at\":\"2026-01-31T15:04:05Z\"}\n\n", 200},
		"another event":        {"/api/v1/predictions/get3w/a/events", "text/event-stream", "event: end\ndata: {}\n\n", 200},
		"a member of an event": {"/api/v1/predictions/get3w/a/events", "text/event-stream", "event: progress\ndata: {\"progress\":1,\"at\":\"2026-01-31T15:04:05Z\",\"x\":1}\n\n", 200},
		"a path of tests":      {"/api/v1/things", "application/json", `["a"]`, 200},
	} {
		d, err := newDocumented()
		require.NoError(t, err)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.media)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		res, err := (&http.Client{Transport: d}).Get(s.URL + c.path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
		}
		fine := name == "documented" || name == "an event" || name == "a path of tests"
		require.Equal(t, fine, err == nil, "%s: %v", name, err)
		require.Equal(t, fine, len(d.faults) == 0, name)
		d.CloseIdleConnections()
		s.Close()
	}
}
