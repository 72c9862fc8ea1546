package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/predictions"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/redelivery"
	"github.com/hookspan/hookspan/bridge/telemetry"
)

// provisionCmd makes what serve makes unless nats.provision says otherwise. It may run
// beside bridges that use an external NATS; an embedded one belongs to its bridge.
type provisionCmd struct {
	configFlag
}

// provisioned is what was done to one stream or durable.
type provisioned struct {
	Name    string   `json:"name"`
	Created bool     `json:"created,omitempty"`
	Changes []string `json:"changes,omitempty"`
}

// Run makes the streams, the buckets, and the durables of all consumers.
func (c *provisionCmd) Run(e *env) (err error) {
	cfg, err := load(c.File)
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(cfg.Log.config(), e.stderr, nil)
	if err != nil {
		return err
	}
	var onStop cleanup
	defer func() { err = errors.Join(err, onStop.run()) }()
	var folder *queue.Folder // external: other processes may have it
	if cfg.NATS.URL == "" {
		if folder, err = queue.OpenFolder(cfg.DataDir); err != nil {
			return err
		}
		onStop.add(folder.Close)
		cfg.NATS.Listen = new(string) // nobody need connect
	}
	store, err := connectStore(cfg, folder, e.getenv, log, &onStop)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.ctx, provisionTimeout)
	defer cancel()
	if err := store.connected(ctx); err != nil {
		return err
	}
	streams, durables, err := store.provisionAll(ctx, cfg)
	if err != nil {
		return err
	}
	if e.json {
		return writeJSON(e.stdout, map[string]any{"streams": streams, "consumers": durables})
	}
	out := &printer{w: e.stdout}
	for _, p := range streams {
		out.printf("stream %s %s\n", p.Name, p.said())
	}
	for _, p := range durables {
		out.printf("consumer %s %s\n", p.Name, p.said())
	}
	if len(streams)+len(durables) == 0 {
		out.printf("everything is as it is to be\n")
	}
	return out.err
}

func (p provisioned) said() string {
	if p.Created {
		return "created"
	}
	return "changed: " + strings.Join(p.Changes, "; ")
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

// provisionAll returns what had to be done.
func (s *store) provisionAll(ctx context.Context, cfg *config) (streams, durables []provisioned, err error) {
	streams, durables = []provisioned{}, []provisioned{}
	err = queue.Provision(ctx, s.publish, s.cfg, s.log.Named("provision"), func(c queue.Change) {
		streams = append(streams, provisioned{Name: c.Stream, Created: c.Created, Changes: c.Differences})
	})
	if err != nil {
		return nil, nil, err
	}
	done, failed, err := s.durables.provision(ctx)
	if err != nil {
		return streams, durables, errors.Join(failed, err)
	}
	durables = append(durables, done...)
	if err := redelivery.Provision(ctx, s.consume, s.cfg.Names); err != nil {
		return streams, durables, errors.Join(failed, err)
	}
	// Where nobody folds events they would be kept for it.
	if cfg.has(roleReconciler) {
		err = predictions.Provision(ctx, s.consume, s.cfg.Names)
	}
	return streams, durables, errors.Join(failed, err)
}
