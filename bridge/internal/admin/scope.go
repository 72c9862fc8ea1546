package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// questions are routes that change nothing, but whose question is too long for a query.
var questions = []string{"/consumers/:name/filter-skips"}

// scopeOf returns the scope that a route needs. What is neither asked nor submitted, such as
// a route that does not exist, needs the one to act.
func scopeOf(method, route string) string {
	route = strings.TrimPrefix(route, APIPrefix)
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return adminapi.ScopeRead
	case http.MethodPost, http.MethodPut:
		if slices.Contains(questions, route) {
			return adminapi.ScopeRead
		}
		if strings.HasPrefix(route, "/predictions/") {
			return adminapi.ScopeSubmit
		}
	}
	return adminapi.ScopeAct
}

// permit refuses a call whose token lacks the scope of the route, and audits the others. It
// runs behind the router, so that it sees the route whose handler runs.
func (s *Server) permit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, scope := callerOf(c.Request().Context()), scopeOf(c.Request().Method, c.Path())
		switch {
		case !who.may(scope):
			return s.refuse(refusedScope, echo.NewHTTPError(http.StatusForbidden, "This needs a token with the scope "+scope+"."))
		case scope == adminapi.ScopeRead || s.audit == nil:
			return next(c)
		}
		return s.audited(c, who, scope, next)
	}
}
