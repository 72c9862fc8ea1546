package app

import (
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/forward"
)

func newForward(a *App, name string, c *config.Forward) (consumers.Handler, error) {
	refs, key := c.Signing()
	secrets := &consumerSecret{consumer: name, key: "consumers." + name + "." + key, refs: refs, check: forward.CheckSecret}
	if err := secrets.read(a.getenv); err != nil {
		return nil, err
	}
	networks, err := c.Networks()
	if err != nil {
		return nil, err
	}
	handler, err := forward.New(forward.Config{
		Name: name, URL: c.URL, Mode: forward.Mode(c.Mode), Secrets: secrets.next, Refuse: c.Refuse,
		AllowPrivate: c.AllowPrivate, AllowNetworks: networks, Concurrency: c.Concurrency,
		ConnectTimeout: time.Duration(c.ConnectTimeout), HeaderTimeout: time.Duration(c.HeaderTimeout), Timeout: time.Duration(c.Timeout),
		UserAgent: a.userAgent(),
		Alarms:    a.store.alarms, Logger: telemetry.Slog(a.log.Named("forward")).With("consumer", name),
	})
	if err != nil {
		return nil, err
	}
	a.onStop.add("consumer "+name, handler.Close)
	secrets.set = handler.SetSecrets
	a.secrets.add(secrets)
	return handler, a.register(handler.Collectors()...)
}

func forwardLacks(l *lacking, key string, c *config.Forward) {
	refs, which := c.Signing()
	for _, ref := range refs {
		secret := &consumerSecret{refs: []config.SecretRef{ref}, check: forward.CheckSecret}
		if err := secret.read(l.getenv); err != nil {
			l.Check(key+"."+which, errors.Unwrap(err)) // err begins with the key
		}
	}
}
