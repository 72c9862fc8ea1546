// Package console is the pages for people. It is a client of the API: each page asks the API in
// the same process, as whoever looks at the page, and can do nothing that the API cannot do.
package console

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Console serves the pages. It is safe for concurrent use. Its zero value is not usable, see
// [New].
type Console struct {
	api        http.Handler
	log        *zap.Logger
	thumbnails *thumbnails
	http       http.Handler
	// writeTime is how long a browser may take to read what it was sent of a stream.
	writeTime time.Duration
}

// New returns the pages of a bridge. Api answers the paths of the API and checks who asks: each
// request to it has the address and the headers of the browser's, and the browser's token as
// Authorization.
func New(api http.Handler, log *zap.Logger) *Console {
	c := &Console{api: api, log: log, thumbnails: newThumbnails(), writeTime: writeTime}
	mux := http.NewServeMux()
	missing := c.page(page{template: "missing", title: "No such page", status: http.StatusNotFound})
	mux.Handle("GET /static/{name}", static(missing))
	mux.Handle("GET /sign-in", c.page(page{template: "sign-in", title: "Sign in", open: true}))
	mux.HandleFunc("POST /sign-in", c.signIn)
	mux.HandleFunc("POST /sign-out", c.signOut)
	for _, path := range described {
		mux.HandleFunc("GET "+path, c.description)
	}
	for pattern, p := range pages {
		mux.Handle("GET "+pattern, c.page(p))
	}
	for pattern, act := range acts {
		mux.Handle("POST "+pattern, c.act(act))
	}
	for pattern, s := range streams {
		mux.Handle("GET "+pattern, c.stream(s))
	}
	mux.Handle("GET /", missing)
	files := http.NewServeMux() // which come as they are
	files.HandleFunc("GET /files/{source}/{id}/{n}", c.file)
	files.HandleFunc("GET /thumbs/{source}/{id}/{n}", c.thumb)
	files.HandleFunc("GET /files/{source}", c.file) // of an id of dots
	files.HandleFunc("GET /thumbs/{source}", c.thumb)
	files.Handle("/", compressed(mux))
	c.http = secured(bounded(arriving(files)))
	return c
}

// ServeHTTP answers a path that is not the API's.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.http.ServeHTTP(w, r) }

// Patterns returns the patterns of all pages and of all forms, sorted, for tests that look at each
// of them.
func Patterns() (ofPages, ofActs []string) {
	return slices.Sorted(maps.Keys(union(pages, map[string]page{"/": {}, "/sign-in": {}}))), slices.Sorted(maps.Keys(acts))
}
