package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Provisioned is what was done to one stream or durable.
type Provisioned struct {
	Name    string   `json:"name"`
	Created bool     `json:"created,omitempty"`
	Changes []string `json:"changes,omitempty"`
}

// String says so in words.
func (p Provisioned) String() string {
	if p.Created {
		return p.Name + " created"
	}
	return p.Name + " changed: " + strings.Join(p.Changes, "; ")
}

// Provisioning is what Provision had to do.
type Provisioning struct {
	Streams   []Provisioned `json:"streams"`
	Consumers []Provisioned `json:"consumers"`
}

// Provision makes the streams, the buckets, and the durables of all consumers what the
// configuration says, whatever its nats.provision is. It may run beside bridges that use
// an external NATS; with an embedded one it returns ErrFolderInUse while a bridge runs.
func Provision(ctx context.Context, cfg *config.Config, opts Options) (report Provisioning, err error) {
	opts.fill()
	log, err := newLogger(cfg, opts.Log, nil)
	if err != nil {
		return report, err
	}
	var onStop cleanup
	defer func() { err = errors.Join(err, onStop.run()) }()
	var folder *datafolder.Folder // external: other processes may have it
	if cfg.NATS.URL == "" {
		if folder, err = datafolder.Open(cfg.DataDir); err != nil {
			return report, err
		}
		onStop.add("data folder", folder.Close)
		cfg.NATS.Listen = new(string) // nobody need connect
	}
	store, err := connectStore(cfg, folder, opts.Getenv, log, &onStop)
	if err != nil {
		return report, err
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	if err := store.connected(ctx); err != nil {
		return report, err
	}
	return store.provisionAll(ctx, cfg)
}

// connected waits until NATS is reached.
func (s *store) connected(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !s.publish.Conn().IsConnected() || !s.consume.Conn().IsConnected() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("no server at nats.url was reached within %v, the log says why: %w", provisionTimeout, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func (s *store) provisionAll(ctx context.Context, cfg *config.Config) (Provisioning, error) {
	done := Provisioning{Streams: []Provisioned{}, Consumers: []Provisioned{}}
	err := stream.Provision(ctx, s.publish, s.cfg, s.log.Named("provision"), func(c stream.Change) {
		done.Streams = append(done.Streams, Provisioned{Name: c.Stream, Created: c.Created, Changes: c.Differences})
	})
	if err != nil {
		return done, err
	}
	durables, failed, err := s.durables.provision(ctx)
	if err != nil {
		return done, errors.Join(failed, err)
	}
	done.Consumers = append(done.Consumers, durables...)
	if err := redelivery.Provision(ctx, s.consume, s.cfg.Names); err != nil {
		return done, errors.Join(failed, err)
	}
	// Where nobody folds events they would be kept for it.
	if cfg.Has(config.RoleReconciler) {
		err = predictions.Provision(ctx, s.consume, s.cfg.Names)
	}
	return done, errors.Join(failed, err)
}
