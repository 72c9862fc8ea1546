package app

import (
	"context"
	"fmt"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
)

func newArchive(a *App, name string, c *config.Archive) (consumers.Handler, error) {
	at, err := a.cfg.ArchiveLocation(c)
	if err != nil {
		return nil, err
	}
	cfg := archive.Config{
		Name: name, Location: at, Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, MaxOutput: int64(c.MaxOutput), MaxBytes: int64(c.MaxBytes),
		Parallel: c.Parallel, Life: a.cfg.OutputLife, Delay: a.cfg.OutputDelay,
		Publish: a.store.publishEvent, Alarms: a.store.alarms, Logger: telemetry.Slog(a.log.Named("archive")).With("consumer", name),
	}
	if at.Dir != "" {
		cfg.Reserve = a.store.reserve(at.Dir)
	}
	if err := at.Check(a.ctx, c.AllowPrivate); err != nil { // in the words of the check of the configuration
		return nil, fmt.Errorf("store: %w", err)
	}
	handler, err := archive.New(cfg)
	if err != nil {
		return nil, err
	}
	a.onStop.add("consumer "+name, handler.Close)
	return a.keepArchived(name, c, handler), a.register(handler.Collectors()...)
}

func archiveLacks(ctx context.Context, l *lacking, key string, c *config.Archive) {
	at, err := l.cfg.ArchiveLocation(c)
	if err == nil {
		err = at.Check(ctx, c.AllowPrivate)
	}
	l.Check(key+".store", err)
}
