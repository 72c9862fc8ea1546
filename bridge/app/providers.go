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

// providerSet is who is asked: the APIs of the sources that have one. After it was made
// it belongs to the goroutine that reads the configuration again, but for the clients.
type providerSet struct {
	clients map[string]*provider.Client
	began   map[string]config.API // without their keys
	keys    map[string][]byte     // of now
}

// openProviders makes a client for each source with an API, none when this process asks
// nobody. A key that cannot be read keeps nothing from starting: webhooks are taken
// without it, and its file is looked at again.
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
		client, err := provider.New(provider.Config{
			Source: name, BaseURL: api.BaseURL, Key: key, MaxBody: int64(a.cfg.Ingress.MaxBody),
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

// poller is how the provider of a source is asked, nil when it has no API.
func (p *providerSet) poller(source string) poller.Provider {
	if client, ok := p.clients[source]; ok {
		return client
	}
	return nil
}

// apiKey looks a key up. With an error there is none.
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

// read looks all keys up again and changes nothing yet. One that was there and cannot be
// read any more is an error; one whose source has no API any more is none.
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

// apply gives the clients their keys and names those that have others now.
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

// restartKeys names what differs from what this process began with: of an API nothing
// but its key changes while it runs.
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
