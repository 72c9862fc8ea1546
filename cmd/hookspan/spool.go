package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

// spoolCmd works on a folder whose bridge does not run. A running bridge drains its spool
// itself.
type spoolCmd struct {
	Show   spoolShowCmd   `cmd:"" help:"Say what lies in the spool."`
	Drain  spoolDrainCmd  `cmd:"" help:"Move what lies in the spool to NATS, then exit."`
	Export spoolExportCmd `cmd:"" help:"Write what lies in the spool as lines of JSON. It stays in the spool."`
}

func (c configFlag) openSpool(e *env) (*app.Spool, error) {
	cfg, err := config.Load(c.File)
	if err != nil {
		return nil, err
	}
	return app.OpenSpool(e.ctx, cfg)
}

type spoolShowCmd struct{ configFlag }

func (c *spoolShowCmd) Run(e *env) (err error) {
	spool, err := c.openSpool(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	state, err := spool.State(e.ctx)
	if err != nil {
		return err
	}
	return e.print(state, func(out *printer) {
		out.printf("%d messages, %v of %v", state.Messages, config.ByteSize(state.Bytes), config.ByteSize(state.MaxBytes))
		if state.Messages > 0 {
			out.printf(", the oldest of %s", state.Oldest.Format(time.RFC3339))
		}
		if state.Stuck > 0 {
			out.printf("; %d that NATS would not take, which are tried again when the spool is drained", state.Stuck)
		}
		out.printf("\n")
	})
}

type spoolDrainCmd struct{ configFlag }

// Run moves everything to NATS. It fails when NATS refuses some of it.
func (c *spoolDrainCmd) Run(e *env) (err error) {
	spool, err := c.openSpool(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	drained, err := spool.Drain(e.ctx, app.Options{Getenv: e.getenv, Log: e.stderr})
	if err != nil {
		return err
	}
	state, err := spool.State(e.ctx)
	if err != nil {
		return err
	}
	err = e.print(map[string]any{"drained": drained, "stuck": state.Stuck}, func(out *printer) {
		out.printf("%d messages moved to NATS, %d left that it does not take\n", drained, state.Stuck)
	})
	if err == nil && state.Stuck > 0 {
		err = errSilent
	}
	return err
}

type spoolExportCmd struct {
	configFlag
	To string `placeholder:"FILE" help:"A file to write, which must not exist; standard output without it."`
}

// Run writes one JSON object a line.
func (c *spoolExportCmd) Run(e *env) (err error) {
	spool, err := c.openSpool(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	out := e.stdout
	if c.To != "" {
		f, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("exporting the spool: %w", err)
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
	}
	n := 0
	err = spool.Export(e.ctx, func(message any) error {
		n++
		return writeJSON(out, message)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, "%d messages exported, they are still in the spool\n", n)
	return err
}
