package app

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/consumers"
)

// kind is a kind of consumer whose handler is part of this program. Events of the other
// kinds are handled by programs of others.
type kind struct {
	// handler makes what acts on the events of the consumer.
	handler func(a *App, name string, c config.ConsumerConfig) (consumers.Handler, error)
	// lacks finds what the consumer needs of this machine that is not there. Key is that of
	// the consumer in the configuration.
	lacks func(ctx context.Context, l *lacking, key string, c config.ConsumerConfig)
}

var kinds = map[string]kind{
	config.KindArchive: {newArchive, archiveLacks},
	config.KindExec:    {newExec, execLacks},
	config.KindForward: {newForward, forwardLacks},
}

// openConsumers makes the configured consumers whose handlers run here.
func (a *App) openConsumers() error {
	if !a.cfg.Has(config.RoleConsumers) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Consumers)) {
		c := a.cfg.Consumers[name]
		kind, ok := kinds[c.Kind]
		if !ok {
			continue
		}
		consumer, err := a.newConsumer(kind, name, c)
		if err != nil {
			return fmt.Errorf("consumers.%s: %w", name, err)
		}
		a.consumers = append(a.consumers, consumer)
	}
	return nil
}

func (a *App) newConsumer(kind kind, name string, c config.ConsumerConfig) (*consumers.Consumer, error) {
	handler, err := kind.handler(a, name, c)
	if err != nil {
		return nil, err
	}
	cfg, err := c.Config(a.cfg, name)
	if err != nil {
		return nil, err
	}
	if cfg.Start, err = a.store.start(name, c); err != nil {
		return nil, err
	}
	cfg.Logger, cfg.BindOnly = a.log, a.cfg.NATS.Provision != config.ProvisionCreate
	return consumers.New(a.store.consume, handler, cfg)
}

// runConsumers runs each consumer once its durable is there.
func (a *App) runConsumers() error {
	for _, consumer := range a.consumers {
		a.group.Go(func() error {
			if !a.provisioner.durables.wait(a.ctx) {
				return nil
			}
			// One that cannot go on must not take the ingress with it.
			if err := consumer.Run(a.ctx); err != nil {
				a.log.Error("a consumer has ended; webhooks are still accepted and kept for it", zap.Error(err))
			}
			return nil
		})
	}
	return nil
}

// notToken is what cannot stand in a product version of User-Agent, see RFC 9110
// section 10.1.5.
var notToken = regexp.MustCompile(`[^0-9A-Za-z.+_-]+`)

// userAgent is what this program calls itself to others.
func (e *env) userAgent() string {
	return "Hookspan/" + strings.Trim(notToken.ReplaceAllString(e.version, "-"), "-")
}
