package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/backup"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/backoff"
)

// moveQuiet is how long a move waits for acknowledgements of what other programs were given before
// it. What is not acknowledged then is given again at the new place.
const moveQuiet = 3 * time.Second

// move moves everything, and tries again until that succeeds. It returns false when ctx ends.
func (a *App) move(ctx context.Context, next *config.Config, m *Move) bool {
	log, said := a.log.Named("move"), ""
	for {
		began := time.Now()
		log.Info("moving the streams: webhooks wait in the journal meanwhile", zap.String("from", m.From.Store), zap.String("to", m.To.Store))
		err := a.moveOnce(ctx, next, m)
		if err == nil {
			log.Info("moved the streams", zap.String("to", m.To.Store), zap.Duration("took", time.Since(began)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if err.Error() != said {
			said = err.Error()
			log.Error("the streams could not be moved, trying again: webhooks wait in the journal meanwhile; the streams are as they were, and a start with the configuration of before goes on with them",
				zap.Duration("every", provisionRetry), zap.Error(err))
		}
		if !backoff.Sleep(ctx, provisionRetry) {
			return false
		}
	}
}

func (a *App) moveOnce(ctx context.Context, next *config.Config, m *Move) error {
	before, err := config.Load(a.folder.Path(moveConfigFile))
	if err != nil {
		return fmt.Errorf("the configuration of before: %w", err)
	}
	from := &env{cfg: before, getenv: a.getenv, version: a.version, log: a.log, folder: a.folder}
	to := &env{cfg: next, getenv: a.getenv, version: a.version, log: a.log, folder: a.folder}
	if m.Stage != moveCopied {
		if err := a.copyStreams(ctx, from, to, m); err != nil {
			return err
		}
	}
	return a.endMove(ctx, from, to, m)
}

// copyStreams makes the copy, or leaves nothing of it.
func (a *App) copyStreams(ctx context.Context, from, to *env, m *Move) (err error) {
	if m.Stage == moveCopying { // a process has ended in the middle
		if err := a.takeBackMove(ctx, to, m); err != nil {
			return err
		}
	}
	if !to.cfg.NATS.External() {
		if err := vacant(a.folder.Path(datafolder.NATSPart)); err != nil {
			return err
		}
	}
	if !from.cfg.NATS.External() && !a.folder.Has(datafolder.NATSPart) {
		return fmt.Errorf("the embedded NATS of before is not in %s", a.folder.Path(datafolder.NATSPart))
	}
	source, err := openBare(ctx, from, "hookspan-migrate", false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	if err := a.stage(m, moveCopying); err != nil {
		return err
	}
	err = a.copyInto(ctx, source, to, m)
	if err != nil {
		return errors.Join(err, a.takeBackMove(context.WithoutCancel(ctx), to, m))
	}
	return a.stage(m, moveCopied)
}

func (a *App) copyInto(ctx context.Context, source *bareStore, to *env, m *Move) (err error) {
	target, err := openBare(ctx, to, "hookspan-migrate", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.close()) }() // which syncs an embedded one
	into := newTarget(target)
	into.Mark(m.ID)
	if err := into.Check(ctx); err != nil {
		return err
	}
	quiet := moveQuiet
	if source.embedded != nil {
		quiet = 0
	}
	hold, again, err := backup.Move(ctx, source.js, into, quiet)
	if err == nil && again > 0 {
		a.log.Named("move").Warn("a cluster does not say which events a consumer has handled behind one that waits: so many are handled again at most", zap.Uint64("events", again))
	}
	switch {
	case err == nil:
		hold.Leave() // nobody may go on there, see endMove
	case hold != nil:
		err = errors.Join(err, hold.Resume(context.WithoutCancel(ctx)))
	}
	if err == nil {
		m.To.Created, err = createdOf(ctx, target.js, to.cfg.Names().EventsStream())
	}
	return err
}

func (a *App) stage(m *Move, stage moveStage) error {
	next := *m
	next.Stage = stage
	if err := next.save(a.folder.Dir()); err != nil {
		return err
	}
	*m = next
	return nil
}

// takeBackMove removes what was made of a copy.
func (a *App) takeBackMove(ctx context.Context, to *env, m *Move) error {
	if !to.cfg.NATS.External() {
		if err := os.RemoveAll(a.folder.Path(datafolder.NATSPart)); err != nil {
			return err
		}
		return a.stage(m, moveNoted)
	}
	target, err := openBare(ctx, to, "hookspan-migrate", false)
	if err != nil {
		return fmt.Errorf("what was copied stays until the next try: %w", err)
	}
	into := newTarget(target)
	into.Mark(m.ID)
	if err := errors.Join(into.RemoveMarked(ctx), target.close()); err != nil {
		return err
	}
	return a.stage(m, moveNoted)
}

// endMove has the bridge go on at the new place, and is called again when it was cut off.
func (a *App) endMove(ctx context.Context, from, to *env, m *Move) error {
	if to.cfg.NATS.External() {
		target, err := openBare(ctx, to, "hookspan-migrate", false)
		if err != nil {
			return err
		}
		into := newTarget(target)
		into.Mark(m.ID)
		if err := errors.Join(into.Unmark(ctx), target.close()); err != nil {
			return err
		}
	}
	if !from.cfg.NATS.External() && a.folder.Has(datafolder.NATSPart) {
		if err := os.Rename(a.folder.Path(datafolder.NATSPart), a.folder.Path("nats-moved-"+m.ID)); err != nil {
			return err
		}
	}
	if from.cfg.NATS.External() {
		if err := retire(ctx, from); err != nil {
			a.log.Named("move").Warn("the durables that were left could not be paused: see that nobody reads there any more", zap.String("from", m.From.Store), zap.Error(err))
		}
	}
	memory := a.folder.Memory(recordFile)
	text, err := memory.Load()
	if err == nil && text != nil {
		text, err = durables.Moved(text, m.To)
	}
	if err == nil && text != nil {
		err = memory.Save(text)
	}
	for _, part := range []string{checkpointFile, "durables.json"} { // of the streams of before
		err = errors.Join(err, os.RemoveAll(a.folder.Path(part)))
	}
	if err != nil {
		return err
	}
	return forget(a.folder.Dir())
}

// retire keeps everybody from what was left in an external NATS.
func retire(ctx context.Context, from *env) error {
	source, err := openBare(ctx, from, "hookspan-migrate", false)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range source.streams.All() {
		names = append(names, s.Name)
	}
	return errors.Join(backup.Retire(ctx, source.js, names...), source.close())
}
