package main

import (
	"time"

	"github.com/hookspan/hookspan/bridge/app"
)

type restoreCmd struct {
	configFlag
	Dir string `arg:"" help:"The folder of the backup."`
}

// Run restores for the configuration that the bridge will run with.
func (c *restoreCmd) Run(e *env) error {
	cfg, file, err := c.load()
	if err != nil {
		return err
	}
	began, done := time.Now(), 0
	bar := newProgressBar(e.stderr)
	report, err := app.Restore(e.ctx, cfg, app.Options{File: file, Version: version(), Getenv: e.getenv, Log: e.stderr}, c.Dir, func(stream string, of int) {
		if done++; e.terminal {
			_ = bar.draw(float64(done)/float64(of), stream) // a lost progress bar is no error
		}
	})
	bar.clear()
	if err != nil {
		return err
	}
	return e.print(report, func(out *printer) {
		out.printf("restored from %s: %s, %s, %s of the journal, in %v: start the bridge\n", c.Dir,
			counted(report.Events(), "event"), counted(len(report.Streams), "stream"), counted(report.Journal, "record"), time.Since(began).Round(time.Millisecond))
	})
}
