package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/confirmer"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
)

// Provisioned is a change of one stream or durable.
type Provisioned struct {
	Name    string   `json:"name"`
	Created bool     `json:"created,omitempty"`
	Changes []string `json:"changes,omitempty"`
}

// String describes the change.
func (p Provisioned) String() string {
	if p.Created {
		return p.Name + " created"
	}
	return p.Name + " changed: " + strings.Join(p.Changes, "; ")
}

// Provisioning is the result of [Provision]: everything that it changed.
type Provisioning struct {
	Streams   []Provisioned `json:"streams"`
	Consumers []Provisioned `json:"consumers"`
}

// Provision makes the streams, the buckets, and the durables of all consumers as the
// configuration says, whatever its nats.provision is. It may run beside bridges that use an
// external NATS; with an embedded one it returns ErrFolderInUse while a bridge runs.
func Provision(ctx context.Context, cfg *config.Config, opts Options) (report Provisioning, err error) {
	e, err := newEnv(cfg, opts, nil)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, e.onStop.run()) }()
	if !cfg.NATS.External() { // with an external NATS a bridge may have the folder
		if err := e.openFolder(); err != nil {
			return report, err
		}
		cfg.NATS.Listen = new(string) // no other program need connect
	}
	store, err := connectStore(e) //nolint:contextcheck // what it starts goes on until onStop
	if err != nil {
		return report, err
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	if err := store.usable(ctx, rights.Provision); err != nil {
		return report, err
	}
	if err := store.connected(ctx); err != nil {
		return report, err
	}
	p := newProvisioner(store)
	report, err = p.provisionAll(ctx)
	if p.withoutJetStream(ctx, err) {
		err = fmt.Errorf("%w: %w", p.noJetStream(), err)
	}
	return report, err
}

// usable returns the error of an external NATS that can never do what a role needs: its
// certificate or the credentials do not fit, or rights are missing. A server that is not reached
// may be starting.
func (s *store) usable(ctx context.Context, role string) error {
	if s.embedded != nil {
		return nil
	}
	external, err := externalConfig(s.cfg.NATS, s.getenv, s.log)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	trial, err := stream.Try(bounded, external, rights.Of(s.cfg.Names(), cmp.Or(external.InboxPrefix, stream.DefaultInboxPrefix), role))
	switch {
	case err == nil:
		return trial.Denied()
	case errors.Is(err, stream.ErrUnfit) || stream.Refused(err):
		return err
	}
	return nil
}

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

// provisionAll also makes the streams and buckets that the parts of a bridge make when they run.
func (p *provisioner) provisionAll(ctx context.Context) (Provisioning, error) {
	done := Provisioning{Streams: []Provisioned{}, Consumers: []Provisioned{}}
	err := stream.TakeBack(ctx, p.publish, p.streams, p.log.Named("provision"), func(c stream.Change) {
		done.Streams = append(done.Streams, Provisioned{Name: c.Stream, Created: c.Created, Changes: c.Differences})
	})
	if err != nil {
		return done, err
	}
	p.removeOld(ctx)
	durables, failed, err := p.durables.provision(ctx)
	if err != nil {
		return done, errors.Join(failed, err)
	}
	done.Consumers = append(done.Consumers, durables...)
	return done, errors.Join(failed, redelivery.Provision(ctx, p.consume, p.streams.Names), confirmer.Provision(ctx, p.consume, p.streams.Names, confirming(p.cfg)))
}

// confirming are the sources whose deliveries the provider has to confirm.
func confirming(cfg *config.Config) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		s := cfg.Sources[name]
		if kind, err := s.Sender(); err == nil && kind.Confirms(s.API.Key != "") {
			names = append(names, name)
		}
	}
	return names
}

func (p *provisioner) untilUsable(ctx context.Context) error {
	for {
		failed, err := p.provision(ctx)
		if failed != nil {
			p.log.Error("a consumer's durable is not what it is to be", zap.Error(failed))
		}
		if err == nil || errors.Is(err, stream.ErrUnfit) {
			return err
		}
		p.log.Warn("NATS cannot be used yet, trying again", zap.Duration("in", provisionRetry), zap.Error(err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(provisionRetry):
		}
	}
}
