package admin

import (
	_ "embed"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge/internal/contracts"
)

// Where documents are served, beside the prefixes of the versions.
const (
	openAPIPath  = "/api/openapi.yaml"
	asyncAPIPath = "/api/asyncapi.yaml"
	schemaPath   = "/api/schemas/:name"
)

// openAPI describes every route of the listener. Tests hold it against the routes and the
// answers.
//
//go:embed openapi.yaml
var openAPI []byte

// serveDocuments adds the routes of the documents that describe what others may rely on.
func (s *Server) serveDocuments(e *echo.Echo) {
	yaml := func(document []byte) echo.HandlerFunc {
		return func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", document) }
	}
	e.GET(openAPIPath, yaml(openAPI))
	e.GET(asyncAPIPath, yaml(contracts.AsyncAPI))
	schemas := contracts.Schemas()
	schemas["config"] = s.configSchema
	names := strings.Join(slices.Sorted(maps.Keys(schemas)), ", ")
	e.GET(schemaPath, func(c echo.Context) error {
		name, isJSON := strings.CutSuffix(c.Param("name"), ".json")
		schema, known := schemas[name]
		if !known || !isJSON {
			return echo.NewHTTPError(http.StatusNotFound, "There is no such schema: ask for one of "+names+", with .json at its end.")
		}
		return c.Blob(http.StatusOK, "application/schema+json", schema)
	})
}
