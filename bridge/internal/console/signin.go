package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	cookieName = "hookspan_token"
	// signedIn is how long a browser keeps the token, in seconds.
	signedIn = 12 * 60 * 60
	// maxForm bounds the body of a form, in bytes.
	maxForm = 1 << 20
	// maxNext bounds the path where somebody goes on after signing in, in bytes: it travels in
	// headers.
	maxNext = 4 << 10
)

// tokenOf returns the token of a request: that of its Authorization, for programs, or that of
// its cookie.
func tokenOf(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return token
	}
	if c, err := r.Cookie(cookieName); err == nil && len(c.Value) <= adminapi.MaxToken*3 {
		if token, err := url.QueryUnescape(c.Value); err == nil {
			return token
		}
	}
	return ""
}

// signIn takes a token that the API knows, and has the browser keep it. No script can read the
// cookie, and no page of another site has it sent.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	v.token = strings.TrimSpace(r.PostFormValue("token"))
	next := nextPath(r.PostFormValue("next"))
	if err := v.identify(); err != nil {
		p, ok := errors.AsType[*problem](err)
		if !ok {
			c.fail(w, v, err)
			return
		}
		p.Detail = signInProblem(p)
		if p.RetryAfter != "" {
			w.Header().Set("Retry-After", p.RetryAfter)
		}
		c.render(w, v, page{template: "sign-in", title: "Sign in", status: p.Status, open: true}, p)
		return
	}
	setToken(w, r, v.token, signedIn)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func signInProblem(p *problem) string {
	if p.Status == http.StatusUnauthorized {
		return "The bridge knows no such token. Tokens are those of admin.tokens in its configuration."
	}
	return p.Error()
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	setToken(w, r, "", -1)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

func setToken(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: url.QueryEscape(token), Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// Behind a proxy with TLS the bridge itself speaks HTTP.
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https:"),
	})
}

// nextPath returns a path of this console, and no address of another: the start for everything
// that is none.
func nextPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host != "" || !strings.HasPrefix(text, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(text, `\`) || len(u.RequestURI()) > maxNext {
		return "/"
	}
	return u.RequestURI()
}
