package console

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"go.uber.org/zap"
)

// page is one page. A pattern of [net/http.ServeMux] leads to it.
type page struct {
	template, title string
	// rail is the entry of the rail that is marked; empty is the one of the template's name.
	rail string
	// live: the page asks for itself again every few seconds, unless the person pauses it.
	live bool
	// open: everybody may see the page.
	open   bool
	status int // 0 is 200
	// load asks the API for what the page shows; nil is nothing.
	load func(v *visit) (any, error)
}

// shown is what a template is given.
type shown struct {
	*visit

	Page  page
	Title string
	Rail  string
	Data  any
	// Problem is why the page could not be made, nil if it could.
	Problem *problem
	// Next is where a person goes on after signing in.
	Next string
}

// Path is the path and query of the page, which are all of its state.
func (s shown) Path() string { return s.request.URL.RequestURI() }

// Open reports whether everybody may see the page.
func (s shown) Open() bool { return s.Page.open }

// Live reports whether the page asks for itself again: also when the API could not answer for a
// while.
func (s shown) Live() bool {
	return s.Page.live && (s.Problem == nil || s.Problem.Status == http.StatusServiceUnavailable)
}

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages, each with the layout and all parts.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(funcs).ParseFS(templateFiles, "templates/layout.html", "templates/part-*.html"))
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || strings.HasPrefix(name, "part-") {
			continue
		}
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, file))
	}
	return all
}

// page returns the handler of a page.
func (c *Console) page(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(r)
		if !p.open {
			if err := v.identify(); err != nil {
				c.fail(w, v, err)
				return
			}
		}
		if p.load == nil {
			c.render(w, v, p, nil)
			return
		}
		data, err := p.load(v)
		if err != nil {
			c.failPage(w, v, p, err)
			return
		}
		c.render(w, v, p, data)
	})
}

// elsewhere is an error of load: what the page shows is at another path of the console.
type elsewhere string

func (e elsewhere) Error() string { return "the page is at " + string(e) }

// fail answers a request that could not be served: with the sign-in when it lacked a token.
func (c *Console) fail(w http.ResponseWriter, v *visit, err error) {
	c.failPage(w, v, page{template: "problem", title: "Not shown", rail: "none"}, err)
}

// failPage shows the page's frame, and in it why the rest is missing.
func (c *Console) failPage(w http.ResponseWriter, v *visit, p page, err error) {
	if to, ok := errors.AsType[elsewhere](err); ok {
		http.Redirect(w, v.request, string(to), http.StatusSeeOther)
		return
	}
	why, ok := errors.AsType[*problem](err)
	switch {
	case !ok && v.ctx.Err() != nil:
		return // nobody waits for the answer
	case !ok:
		c.log.Error("a page could not be made", zap.String("path", v.request.URL.Path), zap.Error(err))
		why = &problem{Status: http.StatusInternalServerError, Title: "The page could not be made: the log of the bridge says why."}
	case why.Status == http.StatusUnauthorized:
		if v.token != "" {
			setToken(w, v.request, "", -1) // it is none any more, and each use of it counts as a guess
		}
		next := ""
		if v.request.Method == http.MethodGet {
			next = "?next=" + url.QueryEscape(nextPath(v.request.URL.RequestURI()))
		}
		http.Redirect(w, v.request, "/sign-in"+next, http.StatusSeeOther)
		return
	}
	if why.RetryAfter != "" {
		w.Header().Set("Retry-After", why.RetryAfter)
	}
	p.rail, p.template, p.status = cmp.Or(p.rail, p.template), "problem", why.Status
	c.render(w, v, p, why)
}

// render writes a page. The page is whole before its first byte is written.
func (c *Console) render(w http.ResponseWriter, v *visit, p page, data any) {
	s := shown{visit: v, Page: p, Title: p.title, Rail: p.rail, Data: data, Next: nextPath(cmp.Or(v.request.PostForm.Get("next"), v.request.URL.Query().Get("next")))}
	if s.Rail == "" {
		s.Rail = p.template
	}
	if why, ok := data.(*problem); ok {
		s.Problem = why
	}
	if titled, ok := data.(interface{ PageTitle() string }); ok {
		s.Title = titled.PageTitle()
	}
	if other, ok := data.(interface{ PageStatus() int }); ok {
		p.status = other.PageStatus()
	}
	var text bytes.Buffer
	if err := templates[p.template].ExecuteTemplate(&text, "layout", s); err != nil {
		c.log.Error("a page could not be made", zap.String("path", v.request.URL.Path), zap.Error(fmt.Errorf("filling a template: %w", err)))
		http.Error(w, "The page could not be made: the log of the bridge says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	_, _ = text.WriteTo(w) // a browser that is gone needs no page
}
