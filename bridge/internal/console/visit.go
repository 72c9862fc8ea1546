package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// visit is one request of a browser.
type visit struct {
	console *Console
	ctx     context.Context //nolint:containedctx // a visit is as long as its request
	request *http.Request
	token   string
	who     adminapi.Caller
	now     time.Time
}

func (c *Console) visit(r *http.Request) *visit {
	return &visit{console: c, ctx: r.Context(), request: r, token: tokenOf(r), now: time.Now()}
}

// identify asks the API who visits.
func (v *visit) identify() (err error) {
	v.who, err = ask[adminapi.Caller](v, "/me", nil)
	return err
}

// May reports whether the visitor has a scope.
func (v *visit) May(scope string) bool { return slices.Contains(v.who.Scopes, scope) }

// live reports whether the page asks for itself again.
func (v *visit) live() bool { return v.request.Header.Get("HX-Request") != "" }

// param returns a part of the path or, without one, a parameter of the query.
func (v *visit) param(name string) string {
	if value := v.request.PathValue(name); value != "" {
		return value
	}
	return v.request.URL.Query().Get(name)
}
