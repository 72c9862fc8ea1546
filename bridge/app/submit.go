package app

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/submit"
)

type submits struct {
	*submit.Submitter

	sources *submitSources
}

func (a *App) openSubmits() error {
	sources := &submitSources{providers: a.providers}
	now, err := sources.read(a.cfg, a.getenv)
	if err != nil {
		return err
	}
	sources.apply(now)
	js := a.store.consume
	submitter := submit.New(submit.Config{
		Names: a.cfg.Names(), PublicURL: a.cfg.Ingress.PublicURL, Source: sources.source,
		Publisher: a.store.keep(), Unable: newStoreWatch(a.store).look, JetStream: js,
		Tell:    func(subject string, data []byte) error { return js.Conn().Publish(subject, data) },
		Process: processName(), Logger: a.log.Named("submit"),
	})
	a.submits = &submits{submitter, sources}
	return a.register(submitter.Collectors()...)
}

// processName tells this process from others, for operators.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

type submitSources struct {
	providers *providerSet
	now       atomic.Pointer[map[string]submit.Source]
}

// source is safe for concurrent use.
func (s *submitSources) source(name string) (submit.Source, bool) {
	source, ok := (*s.now.Load())[name]
	return source, ok
}

// read makes the sources of the configuration and changes nothing yet. It fails when a secret of
// theirs is missing.
func (s *submitSources) read(cfg *config.Config, getenv func(string) (string, bool)) (map[string]submit.Source, error) {
	next := map[string]submit.Source{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		kind, err := cfg.Sources[name].Sender()
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		source := submit.Source{Query: cfg.Sources[name].Query, OtherAPI: !kind.API.Submits}
		if client, ok := s.providers.clients[name]; ok {
			source.API = client
		}
		if cfg.Submits() {
			if source.PathToken, err = cfg.Sources[name].ReadPathToken(name, getenv); err != nil {
				return nil, err
			}
		}
		next[name] = source
	}
	return next, nil
}

func (s *submitSources) apply(next map[string]submit.Source) { s.now.Store(&next) }
