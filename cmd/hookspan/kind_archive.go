package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
)

const (
	kindArchive = "archive"
	storeScheme = "file://"
)

var archiveKind = kind{
	keys:     []string{"store", "hosts", "allow_private", "max_output", "parallel"},
	defaults: fillArchiveDefaults,
	check:    checkArchive,
	handler:  newArchive,
}

func fillArchiveDefaults(c *config, cons *consumerConfig) {
	if len(cons.Filter.Status) == 0 && cons.Filter.Event != bridge.KindArchived {
		cons.Filter.Status = stringList{bridge.StatusCompleted}
	}
	if cons.Start == "" {
		cons.Start = "all"
	}
	if cons.Concurrency == 0 {
		cons.Concurrency = 4
	}
	if len(cons.Hosts) > 0 {
		return
	}
	for _, s := range c.Sources {
		if kind, err := source.KindOf(s.Kind); err == nil {
			cons.Hosts = append(cons.Hosts, kind.OutputHosts()...)
		}
	}
}

func checkArchive(c *config, found *checker, key string, cons consumerConfig) {
	if cons.Filter.Event == bridge.KindArchived {
		found.fail(key+".filter.event", "an archive keeps the outputs of predictions: remove it")
	}
	if cons.Parallel < 0 || cons.Parallel > archive.MaxParallel {
		found.fail(key+".parallel", "it is %d: use 1 to %d", cons.Parallel, archive.MaxParallel)
	}
	for _, host := range cons.Hosts {
		found.check(key+".hosts", archive.CheckHost(host))
	}
	dir, err := c.storeDir(cons)
	found.check(key+".store", err)
	for _, ours := range []string{".", "nats", "secrets", "spool"} {
		if own := filepath.Join(c.DataDir, ours); err == nil && (dir == own || ours != "." && strings.HasPrefix(dir, own+"/")) {
			found.fail(key+".store", "the bridge keeps its own files there: use another folder")
		}
	}
}

func newArchive(p *parts, name string, c consumerConfig) (consumers.Handler, error) {
	dir, err := p.cfg.storeDir(c)
	if err != nil {
		return nil, err
	}
	a, err := archive.New(archive.Config{
		Name: name, Dir: dir, Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, MaxOutput: int64(c.MaxOutput), Parallel: c.Parallel,
		Reserve: p.store.reserve(dir), Publish: p.store.publishEvent, Alarms: p.store.alarms, Logger: p.log.Named("archive").With(zap.String("consumer", name)),
	})
	if err != nil {
		return nil, err
	}
	p.onStop.add(a.Close)
	return a, nil
}

// storeDir is the folder that an archive's store names.
func (c *config) storeDir(cons consumerConfig) (string, error) {
	if cons.Store == "" {
		return filepath.Join(c.DataDir, "archive"), nil
	}
	dir, ok := strings.CutPrefix(cons.Store, storeScheme)
	if !ok || !filepath.IsAbs(dir) {
		return "", fmt.Errorf("use %s and an absolute path, such as %s/var/lib/hookspan/archive", storeScheme, storeScheme)
	}
	return filepath.Clean(dir), nil
}
