package app

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

type liveSource struct {
	config    source.Config
	refs      []config.SecretRef // where each of config.Secrets is from
	retired   []config.SecretRef // where each of config.Retired is from
	pathToken []byte
	query     []string
	// needsSecret: without a secret no webhook can be proved.
	needsSecret bool
}

type sourceSet map[string]liveSource

// readSources looks up the secrets, and logs those that are missing.
func (a *App) readSources() (err error) {
	if a.sources, err = resolveSources(a.cfg, a.getenv); err == nil {
		a.sources.warn(a.log, slices.Sorted(maps.Keys(a.sources)))
	}
	return err
}

// resolveSources looks up the secrets of the configured sources. A process without the role
// ingress has no sources and needs no secret.
func resolveSources(cfg *config.Config, getenv func(string) (string, bool)) (sourceSet, error) {
	set := sourceSet{}
	if !cfg.Has(config.RoleIngress) {
		return set, nil
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		s := cfg.Sources[name]
		live := liveSource{
			config: source.Config{Name: name, Kind: s.Kind, Options: s.Options(), HasKey: s.API.Key != "", MaxAge: time.Duration(s.MaxAge)},
			refs:   s.Secrets, retired: s.RetiredSecrets,
			query: s.Query, needsSecret: needsSecret(s),
		}
		if kind, err := s.Sender(); err == nil && kind.NoWebhook {
			continue
		}
		for _, ref := range s.Secrets {
			secret, err := ref.Resolve(getenv)
			if err != nil {
				return nil, fmt.Errorf("sources.%s.secrets: %w", name, err)
			}
			live.config.Secrets = append(live.config.Secrets, secret)
		}
		for _, ref := range s.RetiredSecrets {
			secret, err := ref.Resolve(getenv)
			if err != nil {
				secret = nil // warn says so; it only explains, and may be gone for good
			}
			live.config.Retired = append(live.config.Retired, secret)
		}
		var err error
		if live.pathToken, err = s.ReadPathToken(name, getenv); err != nil {
			return nil, err
		}
		set[name] = live
	}
	return set, nil
}

func (set sourceSet) routes() ([]ingress.Route, error) {
	var out []ingress.Route
	for _, name := range slices.Sorted(maps.Keys(set)) {
		live := set[name]
		cfg := live.config
		cfg.FetchKeys = fetchKeys
		src, err := source.New(cfg)
		if err != nil {
			return nil, err
		}
		out = append(out, ingress.Route{Source: src, PathToken: live.pathToken, Query: live.query})
	}
	return out, nil
}

// warn logs loudly which secrets the named sources lack. A source without any refuses every
// delivery.
func (set sourceSet) warn(log *zap.Logger, names []string) {
	for _, name := range names {
		live, ok := set[name]
		if !ok {
			continue // it was removed
		}
		for i, secret := range live.config.Secrets {
			if len(secret) == 0 {
				log.Warn("a secret is empty or not set", zap.String("source", name), zap.String("secret", string(live.refs[i])))
			}
		}
		for i, secret := range live.config.Retired {
			if len(secret) == 0 {
				log.Warn("a retired secret is not there, so what it signs is not recognised", zap.String("source", name), zap.String("secret", string(live.retired[i])))
			}
		}
		if live.needsSecret && !live.hasSecret() {
			log.Error("NO SECRET: every webhook of this source is refused with 401; set one of its secrets: a variable and start again, or a file, which is read again by itself",
				zap.String("source", name), zap.Any("secrets", live.refs))
		}
	}
}

func (l liveSource) hasSecret() bool {
	return slices.ContainsFunc(l.config.Secrets, func(secret []byte) bool { return len(secret) > 0 })
}

// firstSecret is the place of the first secret that a source has, false when it has none.
func (set sourceSet) firstSecret(name string) (config.SecretRef, bool) {
	for i, secret := range set[name].config.Secrets {
		if len(secret) > 0 {
			return set[name].refs[i], true
		}
	}
	return "", false
}

func (set sourceSet) changes(next sourceSet) []string {
	all := maps.Clone(set)
	maps.Copy(all, next)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool {
		before, had := set[name]
		after, has := next[name]
		return had == has && reflect.DeepEqual(before, after)
	})
}

// checkSuccessor returns an error when a source would lose its only secret: a secret that was
// badly mounted or written looks so.
func (set sourceSet) checkSuccessor(next sourceSet) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		after, has := next[name]
		if set[name].hasSecret() && has && !after.hasSecret() {
			return fmt.Errorf("sources.%s.secrets: the source had a secret and would have none: give it one, or remove the source", name)
		}
	}
	return nil
}
