package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

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
	var done atomic.Bool // a part that hangs may go on when bounded returns
	err = a.bounded(func() error {
		if err := a.Start(ctx); err != nil {
			return errors.Join(err, a.end())
		}
		a.group.Go(func() error {
			defer a.stop()
			done.Store(a.move(a.ctx, cfg, m))
			return nil
		})
		<-a.Done()
		return a.end()
	})
	return done.Load() && ctx.Err() == nil, err
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
