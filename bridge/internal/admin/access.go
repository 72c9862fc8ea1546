package admin

import (
	"mime"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
)

// checkAccess refuses a call that comes from where it may not. Whoever reaches a loopback
// listener may call everything.
func (s *Server) checkAccess(r *http.Request) error {
	if !s.loopback {
		return echo.NewHTTPError(http.StatusForbidden,
			"The API has no tokens yet, so it is served on a loopback address only: set admin.listen to one, such as 127.0.0.1:8081.")
	}
	if err := sameSite(r); err != nil {
		return err
	}
	return carriesJSON(r)
}

// sameSite refuses a request that a page of another site has a browser send.
func sameSite(r *http.Request) error {
	errForeign := echo.NewHTTPError(http.StatusForbidden, "The API does not answer to pages of other sites.")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // no browser, our own page, or typed in
	default:
		return errForeign
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return errForeign
		}
	}
	return nil
}

// carriesJSON refuses what a form of a web page can send without asking first.
func carriesJSON(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return nil
	}
	if name, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || name != echo.MIMEApplicationJSON {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "Send Content-Type: application/json.")
	}
	return nil
}
