package admin_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/contracts"
)

func TestOpenAPIDocumentIsValid(t *testing.T) {
	doc, err := libopenapi.NewDocument(admin.OpenAPI())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(doc.GetVersion(), "3.1."))
	valid, errs := validator.NewValidator(doc)
	require.Empty(t, errs)
	_, faults := valid.ValidateDocument()
	for _, fault := range faults {
		t.Error(fault.Message, fault.Reason, fault.SchemaValidationErrors)
	}
}

// outline is what tests read of the document.
type outline struct {
	Paths      yaml.Node
	Components map[string]map[string]any
}

func readOutline(t *testing.T) (o outline) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal(admin.OpenAPI(), &o))
	return o
}

// A member that the document does not name fails a test: every schema of an object is closed,
// or is a part of schemas that are.
func TestOpenAPISchemasAreStrict(t *testing.T) {
	var check func(path string, node any)
	check = func(path string, node any) {
		switch node := node.(type) {
		case []any:
			for _, item := range node {
				check(path, item)
			}
		case map[string]any:
			_, properties := node["properties"]
			_, all := node["allOf"]
			if _, name := node["name"]; (properties || all || node["type"] == "object") && !name {
				require.True(t, node["additionalProperties"] != nil || node["unevaluatedProperties"] == false, "%s is open", path)
			}
			for name, item := range node {
				check(path+"/"+name, item)
			}
		}
	}
	for name, schema := range readOutline(t).Components["schemas"] {
		if strings.HasSuffix(name, "Part") {
			require.NotRegexp(t, `schema: \{\$ref: '#/components/schemas/`+name+`'`, string(admin.OpenAPI()), "a part is no whole answer")
			continue
		}
		check(name, schema)
	}
}

// What is not used or not in order is in the way of a reader, and of the next change.
func TestOpenAPIDocumentIsTidy(t *testing.T) {
	o, text := readOutline(t), string(admin.OpenAPI())
	for kind, components := range o.Components {
		for name := range components {
			used := "'#/components/" + kind + "/" + name + "'"
			if kind == "schemas" {
				used += `|x-events: \{[^}]*\b` + name + `\b`
			}
			require.True(t, kind == "securitySchemes" || regexp.MustCompile(used).MatchString(text), "%s %s is not used", kind, name)
		}
	}
	paths := []string{}
	for i := 0; i < len(o.Paths.Content); i += 2 {
		paths = append(paths, o.Paths.Content[i].Value)
	}
	require.True(t, slices.IsSorted(paths), paths)
}

// The listener's own routes are in the document; those of the API are compared with it by the
// package that registers them.
func TestOpenAPIDocumentHasTheListenersRoutes(t *testing.T) {
	var o struct {
		Paths map[string]map[string]any
	}
	require.NoError(t, yaml.Unmarshal(admin.OpenAPI(), &o))
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(*echo.Group) {})
	routes := []string{}
	for _, r := range s.Routes() {
		if !strings.HasPrefix(r.Path, "/api/*") && r.Path != "/api" && r.Method != http.MethodHead && !strings.HasPrefix(r.Path, admin.APIPrefix) {
			path := strings.Replace(r.Path, ":name", "{name}", 1)
			routes = append(routes, path)
			require.Contains(t, o.Paths[path], strings.ToLower(r.Method))
		}
	}
	for path, item := range o.Paths {
		if !strings.HasPrefix(path, admin.APIPrefix) {
			require.Contains(t, routes, path)
			require.Len(t, item, 1, path)
		}
	}
}

func TestOpenAPIDocumentIsServed(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	require.Equal(t, 503, get(t, s, "/api/openapi.yaml").status)
	s.SetAPI(func(*echo.Group) {})
	a := get(t, s, "/api/openapi.yaml")
	require.Equal(t, 200, a.status)
	require.Equal(t, "application/yaml", a.header.Get("Content-Type"))
	require.Equal(t, string(admin.OpenAPI()), a.body)
	require.Equal(t, 403, do(t, s, http.MethodGet, "/api/openapi.yaml", "", map[string]string{"Host": "evil.example"}).status)
	require.Equal(t, 405, do(t, s, http.MethodPost, "/api/openapi.yaml", "{}", asJSON).status)
}

// The document of the wire is served beside, with the schemas that it refers to and that of the
// configuration.
func TestContractsAreServed(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	require.Equal(t, 503, get(t, s, "/api/asyncapi.yaml").status)
	s.SetAPI(func(*echo.Group) {})
	a := get(t, s, "/api/asyncapi.yaml")
	require.Equal(t, []any{200, "application/yaml", string(contracts.AsyncAPI)}, []any{a.status, a.header.Get("Content-Type"), a.body})
	names := []string{"config.json"}
	for name, schema := range contracts.Schemas() {
		names = append(names, name+".json")
		a := get(t, s, "/api/schemas/"+name+".json")
		require.Equal(t, []any{200, "application/schema+json", string(schema)}, []any{a.status, a.header.Get("Content-Type"), a.body})
	}
	require.Equal(t, "{}", get(t, s, "/api/schemas/config.json").body)
	for _, none := range []string{"archived", "nothing.json", "..%2fconfig.json", ".json"} {
		require.Equal(t, 404, get(t, s, "/api/schemas/"+none).status, none)
	}
	slices.Sort(names)
	require.Contains(t, string(admin.OpenAPI()), "{enum: ["+strings.Join(names, ", ")+"]}")
}

// The document names the scope that each call of the API needs, and no other one.
func TestOpenAPIDocumentHasTheScopes(t *testing.T) {
	type security []map[string][]string
	var o struct {
		Security security
		Paths    map[string]map[string]yaml.Node
	}
	require.NoError(t, yaml.Unmarshal(admin.OpenAPI(), &o))
	for path, item := range o.Paths {
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			op := struct{ Security security }{o.Security}
			require.NoError(t, node.Decode(&op))
			if !strings.HasPrefix(path, "/api/") {
				require.Empty(t, op.Security, "%s %s needs no token", method, path)
				continue
			}
			route := regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(path, ":$1")
			require.Equal(t, security{{"bearer": {admin.ScopeOf(strings.ToUpper(method), route)}}}, op.Security, "%s %s", method, path)
		}
	}
}
