package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/backup"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/backoff"
)

// moveQuiet is how long a move waits for acknowledgements of what other programs were given before
// it. A bridge that has ended has none.
const moveQuiet = 3 * time.Second

// moveFirst moves the streams to the NATS of the configuration if that is noted, before anything
// but the ingress runs: webhooks wait in the journal meanwhile. It returns the options for the
// start that follows, whose socket for webhooks has been open all the time, or false when ctx has
// ended before.
func moveFirst(ctx context.Context, opts Options) (Options, bool, error) {
	cfg, _, err := opts.load()
	if err != nil || cfg.DataDir == "" || checkFolder(cfg) != nil {
		return opts, true, nil //nolint:nilerr // the start says it
	}
	m, err := readMove(cfg.DataDir)
	if err == nil && m != nil && m.Stage == moveCopied && m.To.Store != placeOf(cfg).Store {
		err = fmt.Errorf("the streams have moved to %s: start the bridge with that configuration", m.To)
	}
	if err != nil || m == nil || m.To.Store != placeOf(cfg).Store || m.To.Prefix != cfg.NATS.Prefix {
		return opts, true, err
	}
	if opts.Webhooks == nil && cfg.Has(config.RoleIngress) {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Ingress.Listen)
		if err != nil {
			return opts, false, fmt.Errorf("listening on ingress.listen: %w", err)
		}
		opts.Webhooks, opts.ownSocket = l.(*net.TCPListener), true
	}
	moved, err := moveBehindIngress(ctx, cfg, opts, m)
	if (err != nil || !moved) && opts.Webhooks != nil {
		err = errors.Join(err, opts.Webhooks.Close())
	}
	return opts, moved, err
}

// moveBehindIngress runs an App that only takes webhooks until the move is done, or ctx has ended,
// which returns false.
func moveBehindIngress(ctx context.Context, cfg *config.Config, opts Options, m *Move) (moved bool, err error) {
	only := *cfg
	only.Roles = slices.DeleteFunc(slices.Clone(cfg.Roles), func(role string) bool { return role != config.RoleIngress })
	only.NATS = config.NATS{URL: stream.Nowhere, Prefix: cfg.NATS.Prefix, Events: cfg.NATS.Events, Provision: config.ProvisionNone, Replicas: cfg.NATS.Replicas}
	before := opts
	before.File, before.Notify, before.ownSocket, before.moving = "", withoutStopping(opts.Notify), false, true
	if before.Webhooks, err = copySocket(opts.Webhooks); err != nil {
		return false, err
	}
	if before.Admin, err = copySocket(opts.Admin); err != nil {
		return false, err
	}
	a, err := newApp(&only, &config.Document{}, digests{}, before)
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, a.stop)()
	err = a.bounded(func() error {
		if err := a.Start(ctx); err != nil {
			return errors.Join(err, a.end())
		}
		a.group.Go(func() error {
			defer a.stop()
			moved = a.move(a.ctx, cfg, m)
			return nil
		})
		<-a.Done()
		return a.end()
	})
	return moved && ctx.Err() == nil, err
}

// withoutStopping keeps from the service manager that the first App of two ends.
func withoutStopping(notify func(...string) error) func(...string) error {
	if notify == nil {
		return nil
	}
	return func(assignments ...string) error {
		if slices.Contains(assignments, "STOPPING=1") {
			return nil
		}
		return notify(assignments...)
	}
}

// copySocket returns a second listener on the same socket; nil for nil.
func copySocket(l *net.TCPListener) (*net.TCPListener, error) {
	if l == nil {
		return nil, nil
	}
	file, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("keeping a socket for the second half of the start: %w", err)
	}
	defer func() { _ = file.Close() }() // the listener has its own
	second, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("keeping a socket for the second half of the start: %w", err)
	}
	return second.(*net.TCPListener), nil
}

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
