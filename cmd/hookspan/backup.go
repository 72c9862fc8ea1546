package main

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type backupCmd struct {
	apiFlag
	Dir string `arg:"" help:"The folder to write, which must be empty or not exist."`
}

// Run asks a bridge that runs, and otherwise opens its data folder.
func (c *backupCmd) Run(e *env) error {
	began := time.Now()
	bar := newWritten(e)
	var report app.BackupReport
	there, err := c.ofStopped(e, func(cfg *config.Config, file string) (err error) {
		report, err = app.Backup(e.ctx, cfg, app.Options{File: file, Version: version(), Getenv: e.getenv, Log: e.stderr}, c.Dir, bar.tell)
		return err
	})
	if err == nil && !there {
		err = c.stream(e, apiRoute("backup"), adminapi.BackupCall{}, func(res *http.Response) (err error) {
			report, err = app.TakeBackup(res, c.Dir, bar.tell)
			return err
		})
	}
	bar.clear()
	if err != nil {
		return err
	}
	return e.print(report, func(out *printer) {
		out.printf("saved in %s: %s, %s, %s of the journal, %v in %v\n", c.Dir,
			counted(report.Events(), "event"), counted(len(report.Streams), "stream"), counted(report.Journal, "record"),
			config.ByteSize(report.Bytes()), time.Since(began).Round(time.Millisecond))
	})
}

// ofStopped calls do with the configuration of a bridge that does not run, or returns false when
// it runs, or is elsewhere, and is to be asked.
func (f *apiFlag) ofStopped(e *env, do func(cfg *config.Config, file string) error) (done bool, err error) {
	if f.API != "" {
		return false, nil
	}
	meant, err := f.choose(e)
	if err != nil || meant.dir == "" {
		return false, err
	}
	if _, err := app.ReadHolder(meant.dir); !errors.Is(err, app.ErrNotRunning) {
		return false, nil
	}
	cfg, err := config.Load(meant.file)
	if err != nil {
		return true, err
	}
	cfg.DataDir = cmp.Or(meant.dir, cfg.DataDir)
	return true, do(cfg, meant.file)
}

// written is a line that says how much is written, on a terminal.
type written struct {
	*progressBar

	on   bool
	last time.Time
}

func newWritten(e *env) *written { return &written{newProgressBar(e.stderr), e.terminal, time.Time{}} }

func (w *written) tell(bytes int64) {
	if !w.on || time.Since(w.last) < time.Second/10 {
		return
	}
	w.last, w.drawn = time.Now(), true
	_, _ = w.w.Write([]byte(clearLine + config.ByteSize(bytes).String())) // a lost progress line is no error
}
