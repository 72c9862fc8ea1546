package app

import (
	"net/http"

	"github.com/hookspan/hookspan/bridge/internal/console"
)

// console returns the pages for people.
func (a *App) console(api http.Handler) http.Handler { return console.New(api, a.log.Named("console")) }
