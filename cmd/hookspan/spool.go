package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/telemetry"
)

// spoolCmd works on a folder whose bridge is gone. One that runs drains its spool
// by itself.
type spoolCmd struct {
	Show   spoolShowCmd   `cmd:"" help:"Say what lies in the spool."`
	Drain  spoolDrainCmd  `cmd:"" help:"Move what lies in the spool to NATS, then exit."`
	Export spoolExportCmd `cmd:"" help:"Write what lies in the spool as lines of JSON. It stays in the spool."`
}

type spoolShowCmd struct{ configFlag }

func (c *spoolShowCmd) Run(e *env) error {
	return withSpool(e, c.configFlag, func(_ *config, _ *queue.Folder, spool *queue.Spool) error {
		state, err := spool.State(e.ctx)
		if err != nil {
			return err
		}
		if e.json {
			return writeJSON(e.stdout, state)
		}
		out := &printer{w: e.stdout}
		out.printf("%d messages, %v of %v", state.Messages, byteSize(state.Bytes), byteSize(state.MaxBytes))
		if state.Messages > 0 {
			out.printf(", the oldest of %s", state.Oldest.Format(time.RFC3339))
		}
		if state.Stuck > 0 {
			out.printf("; %d that NATS would not take, which are tried again when the spool is drained", state.Stuck)
		}
		out.printf("\n")
		return out.err
	})
}

type spoolDrainCmd struct{ configFlag }

// Run provisions as serve does, since nothing is published to streams that cannot
// keep it.
func (c *spoolDrainCmd) Run(e *env) error {
	return withSpool(e, c.configFlag, func(cfg *config, folder *queue.Folder, spool *queue.Spool) (err error) {
		log, err := telemetry.NewLogger(cfg.Log.config(), e.stderr, nil)
		if err != nil {
			return err
		}
		var onStop cleanup
		defer func() { err = errors.Join(err, onStop.run()) }()
		store, err := connectStore(cfg, folder, e.getenv, log, &onStop)
		if err != nil {
			return err
		}
		if err := store.provisionWithin(e.ctx); err != nil {
			return err
		}
		drainer := queue.NewDrainer(spool, store.publisher, store.alarms, log)
		if err := drainer.Empty(e.ctx); err != nil {
			return err
		}
		state, err := spool.State(e.ctx)
		if err != nil {
			return err
		}
		if e.json {
			err = writeJSON(e.stdout, map[string]any{"drained": drainer.Drained(), "stuck": state.Stuck})
		} else {
			_, err = fmt.Fprintf(e.stdout, "%d messages moved to NATS, %d left that it does not take\n", drainer.Drained(), state.Stuck)
		}
		if err == nil && state.Stuck > 0 {
			err = errSilent
		}
		return err
	})
}

type spoolExportCmd struct {
	configFlag
	To string `placeholder:"FILE" help:"A file to write, which must not exist; standard output without it."`
}

// Run writes one JSON object a line.
func (c *spoolExportCmd) Run(e *env) error {
	return withSpool(e, c.configFlag, func(_ *config, _ *queue.Folder, spool *queue.Spool) (err error) {
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
		err = spool.Each(e.ctx, func(m queue.SpooledMessage) error {
			n++
			return writeJSON(out, m)
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stderr, "%d messages exported, they are still in the spool\n", n)
		return err
	})
}

// withSpool opens the spool of a folder that nobody uses.
func withSpool(e *env, flag configFlag, use func(*config, *queue.Folder, *queue.Spool) error) (err error) {
	cfg, err := load(flag.File)
	if err != nil {
		return err
	}
	folder, err := queue.OpenFolder(cfg.DataDir)
	if errors.Is(err, queue.ErrFolderInUse) {
		return fmt.Errorf("%w (a running bridge drains its spool by itself)", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if !folder.HasSpool() {
		return fmt.Errorf("there is no spool in %s", folder.Dir())
	}
	ctx, cancel := context.WithTimeout(e.ctx, provisionTimeout)
	defer cancel()
	spool, err := queue.OpenSpool(ctx, folder, cfg.spool(), zap.NewNop())
	if err != nil {
		return err
	}
	defer spool.Close()
	return use(cfg, folder, spool)
}

// provisionWithin waits until the store can be used, or ctx ends.
func (s *store) provisionWithin(ctx context.Context) error {
	for {
		failed, err := s.provisionOnce(ctx)
		if failed != nil {
			s.log.Error("a consumer's durable is not what it is to be", zap.Error(failed))
		}
		if err == nil || errors.Is(err, queue.ErrUnfit) {
			return err
		}
		s.log.Warn("NATS cannot be used yet, trying again", zap.Duration("in", provisionRetry), zap.Error(err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(provisionRetry):
		}
	}
}
