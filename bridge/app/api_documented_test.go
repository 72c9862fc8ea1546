package app

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// Each route of the API that a process serves has an operation in the document that it
// serves, and each operation has a route.
func TestOpenAPIDocumentHasEveryRoute(t *testing.T) {
	a, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	router := echo.New()
	a.registerAPI(router.Group(admin.APIPrefix))
	routes := []string{}
	for _, r := range router.Routes() {
		routes = append(routes, r.Method+" "+documentedPath(r.Path))
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + a.operators.Addr().String() + "/api/openapi.yaml")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
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
