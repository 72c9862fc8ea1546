package main

import (
	"github.com/hookspan/hookspan/bridge/app"
)

type serveCmd struct {
	configFlag
}

// Run serves until it is told to stop. Whatever hangs then, it returns.
func (c *serveCmd) Run(e *env) error {
	hangups := e.hangups() // from the start: one that comes too early ends the process
	opts := app.Options{File: c.File, Version: version(), Getenv: e.getenv, Log: e.stderr, Reload: hangups}
	return app.Run(e.ctx, opts, func(a *app.App) error { return announce(e, c.File, a) })
}
