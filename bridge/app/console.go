package app

import (
	"net/http"

	"github.com/hookspan/hookspan/bridge/internal/console"
)

// console returns the pages for people.
func (a *App) console(api http.Handler) http.Handler {
	a.pages = console.New(api, a.log.Named("console"))
	return a.pages
}

// forgetPages removes from memory what pages show of outputs.
func (a *App) forgetPages() {
	if a.pages != nil {
		a.pages.Forget()
	}
}
