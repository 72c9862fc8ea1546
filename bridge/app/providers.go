package app

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
)

// providerSet has the clients of the sources' APIs. The goroutine that reads the configuration
// again owns it, but the clients are safe for concurrent use.
type providerSet struct {
	clients map[string]*provider.Client
	began   map[string]config.API // without their keys
	keys    map[string][]byte     // in use
}

// openProviders makes a client for each source with an API, none when this process calls no
// providers. A key that cannot be read does not keep the bridge from starting: webhooks need no
// key, and its file is read again.
func (a *App) openProviders() error {
	set := &providerSet{clients: map[string]*provider.Client{}, began: map[string]config.API{}, keys: map[string][]byte{}}
	a.providers = set
	if !a.cfg.AsksProviders() {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Sources)) {
		api := a.cfg.Sources[name].API
		if api.Key == "" {
			continue
		}
		key, err := apiKey(api.Key, a.getenv)
		if err != nil {
			a.log.Error("NO API KEY: the provider of this source is not asked for predictions whose webhook does not come, and none is submitted; set the key: a variable and start again, or a file, which is read again by itself",
				zap.String("source", name), zap.String("key", string(api.Key)), zap.Error(err))
		}
		kind, err := a.cfg.Sources[name].Sender()
		if err != nil {
			return fmt.Errorf("sources.%s: %w", name, err)
		}
		client, err := provider.New(provider.Config{
			Source: name, BaseURL: api.BaseURL, API: kind.API, Key: key, MaxBody: int64(a.cfg.Ingress.MaxBody),
			UserAgent: a.userAgent(), Logger: a.log.Named("provider"),
		})
		if err != nil {
			return fmt.Errorf("sources.%s.api: %w", name, err)
		}
		a.onStop.add("provider of "+name, func() error { client.Close(); return nil })
		api.Key = ""
		set.clients[name], set.began[name], set.keys[name] = client, api, key
	}
	return nil
}

// poller is the provider of a source, nil when it has no API.
func (p *providerSet) poller(source string) poller.Provider {
	if client, ok := p.clients[source]; ok {
		return client
	}
	return nil
}

func apiKey(ref config.SecretRef, getenv func(string) (string, bool)) ([]byte, error) {
	key, err := ref.Require(getenv)
	if err == nil {
		err = provider.CheckKey(key)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// read looks all keys up again and changes nothing yet. A key that was readable and is not any
// more is an error; a key whose source has no API any more is not.
func (p *providerSet) read(cfg *config.Config, getenv func(string) (string, bool)) (map[string][]byte, error) {
	next := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(p.clients)) {
		ref := cfg.Sources[name].API.Key
		if ref == "" {
			continue
		}
		key, err := apiKey(ref, getenv)
		if err != nil && len(p.keys[name]) > 0 {
			return nil, fmt.Errorf("sources.%s.api.key: %w", name, err)
		}
		next[name] = key
	}
	return next, nil
}

// apply sets the keys that have changed, and names them.
func (p *providerSet) apply(keys map[string][]byte) ([]string, error) {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(p.clients)) {
		if bytes.Equal(p.keys[name], keys[name]) {
			continue
		}
		if err := p.clients[name].SetKey(keys[name]); err != nil {
			return changed, fmt.Errorf("sources.%s.api.key: %w", name, err)
		}
		p.keys[name] = keys[name]
		changed = append(changed, "sources."+name+".api.key")
	}
	return changed, nil
}

// restartKeys names the keys of APIs that differ from those at the start: only the API key
// itself changes while the process runs.
func (p *providerSet) restartKeys(cfg *config.Config) []string {
	if !cfg.AsksProviders() {
		return nil
	}
	var keys []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		api := cfg.Sources[name].API
		began, ok := p.began[name]
		switch {
		case api.Key == "":
		case !ok:
			keys = append(keys, "sources."+name+".api")
		default:
			api.Key = ""
			keys = append(keys, config.Differences("sources."+name+".api", began, api)...)
		}
	}
	return keys
}
