package main

import (
	"errors"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

type migrateCmd struct {
	configFlag
	To     string `xor:"do" required:"" placeholder:"FILE" help:"The configuration with the new NATS, with which the bridge is started next."`
	Forget bool   `xor:"do" required:"" help:"Forget a move that is noted and has not begun."`
}

// Run notes the move for the next start.
func (c *migrateCmd) Run(e *env) error {
	cfg, file, err := c.load()
	if err != nil {
		return err
	}
	if cfg.DataDir == "" {
		return errors.New("the configuration has no data_dir, so nothing is kept that could move")
	}
	if c.Forget {
		m, err := app.ForgetMove(cfg.DataDir)
		if err != nil {
			return err
		}
		return e.print(m, func(out *printer) { out.printf("the move to %s is forgotten\n", m.To) })
	}
	next, err := config.Load(c.To)
	if err != nil {
		return err
	}
	m, err := app.NoteMove(e.ctx, cfg, file, next, app.Options{File: c.To, Version: version(), Getenv: e.getenv, Log: e.stderr})
	if err != nil {
		return err
	}
	return e.print(m, func(out *printer) {
		out.printf("noted: the bridge moves from %s to %s when it is started with the new configuration, and takes webhooks meanwhile\n", m.From, m.To)
	})
}
