package admin

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"
)

// openAPIPath is where the document is served, beside the prefixes of the versions.
const openAPIPath = "/api/openapi.yaml"

// openAPI describes every route of the listener. Tests hold it against the routes and the
// answers.
//
//go:embed openapi.yaml
var openAPI []byte

func serveOpenAPI(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", openAPI) }
