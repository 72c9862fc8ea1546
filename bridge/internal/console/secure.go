package console

import (
	"html/template"
	"net/http"
)

// policy lets a page load nothing but what this server serves, run nothing but the scripts of
// package console, and be shown in no other page (Content Security Policy Level 3, Trusted
// Types). The policy "default" is made in app.js: it gives htmx its HTML, which templates have
// escaped, and nobody else a script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default"

// secured sets what a browser must heed on every answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// bounded limits what a request may carry. Only forms carry something.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

var arrival = template.Must(template.New("").Funcs(template.FuncMap{"asset": asset}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="0">
<title>Hookspan</title>
<link rel="icon" href="{{asset "icon.svg"}}">
<p><a href="{{.}}">Go on to the console</a></p>
</html>
`))

// arriving has a browser that follows a link of another site ask once more, from here: it sends
// no SameSite=Strict cookie with the first request. So no other site has a page made for anybody.
func arriving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_ = arrival.Execute(w, r.URL.RequestURI()) // a browser that is gone needs no page
		default:
			next.ServeHTTP(w, r)
		}
	})
}
