package app

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streams"
)

// store is where events are kept: the streams of an embedded or external NATS, and the journal
// in front of them.
type store struct {
	*env

	streams  streams.Config   // what the streams are to be
	embedded *stream.Embedded // nil: external
	unsynced bool             // the embedded NATS syncs when it ends
	// publish, consume and work have a connection each, whose requests the server answers one after
	// the other: so a slow reader never holds up an answer to a sender, and a job on many entries
	// no consumer.
	publish   *redial.JetStream
	consume   *redial.JetStream
	work      *redial.JetStream
	publisher *stream.Publisher
	journal   *journal.Journal  // nil: none
	forwarder *stream.Forwarder // nil: no journal
	keeper    *stream.Keeper    // nil: this process appends to no journal
	alarms    *stream.Alarms
	erased    *erase.Registry                  // what is erased for good
	record    *durables.Record                 // of consumers, in the data folder
	standing  *fresh[[]adminapi.ConsumerState] // where every consumer is
}

func (a *App) openStore() (err error) {
	if a.store, err = connectStore(a.env); err != nil {
		return err
	}
	if !a.moving {
		a.store.learnErased(a.ctx)
	}
	if err := a.store.openJournal(a.ctx); err != nil {
		return err
	}
	a.provisioner = newProvisioner(a.store)
	return a.register(a.store.collectors()...)
}

func connectStore(e *env) (*store, error) {
	s, err := newStore(e)
	if err != nil {
		return nil, err
	}
	if s.record, err = openRecord(e); err != nil {
		return nil, err
	}
	connect, err := s.reachNATS()
	if err != nil {
		return nil, err
	}
	for _, to := range []struct {
		name string
		js   **redial.JetStream
	}{{"hookspan-ingress", &s.publish}, {"hookspan-consumers", &s.consume}, {"hookspan-jobs", &s.work}} {
		js, err := connect(to.name)
		if err != nil {
			return nil, err
		}
		e.onStop.add("connection "+to.name, func() error { js.Close(); return nil })
		*to.js = js
	}
	s.standing = newFresh(func(ctx context.Context) ([]adminapi.ConsumerState, error) { return s.durables().List(ctx) })
	s.erased = erase.NewRegistry(s.consume, e.cfg.Names(), e.log.Named("erase"))
	s.publisher = stream.NewPublisher(s.publish, e.cfg.Names())
	s.publisher.SetAlarms(s.alarms)
	e.onStop.add("publisher", func() error { s.publisher.Close(); return nil })
	return s, nil
}

// newStore returns a store that is not connected and remembers nothing.
func newStore(e *env) (*store, error) {
	replicas, err := e.cfg.NATS.ReplicaCount()
	if err != nil {
		return nil, err
	}
	s := &store{
		env: e,
		streams: streams.Config{
			Names:      e.cfg.Names(),
			MaxBytes:   int64(e.cfg.NATS.Events.MaxBytes),
			MaxAge:     time.Duration(e.cfg.NATS.Events.MaxAge),
			Duplicates: e.cfg.Duplicates(),
			Replicas:   replicas,
			Placement:  placement(e.cfg.NATS.Placement),
		},
		alarms: stream.NewAlarms(e.cfg.Names(), e.log),
	}
	s.record, err = durables.OpenRecord(nil, placeOf(e.cfg))
	return s, err
}

// placement returns nil for any servers.
func placement(p config.Placement) *jetstream.Placement {
	if p.Cluster == "" && len(p.Tags) == 0 {
		return nil
	}
	return &jetstream.Placement{Cluster: p.Cluster, Tags: p.Tags}
}

func (s *store) collectors() []prometheus.Collector {
	out := s.publisher.Collectors()
	if s.journal != nil {
		out = append(append(out, s.journal.Collectors()...), s.forwarder)
	}
	return out
}

type keeper interface {
	ingress.Publisher
	stream.Storer
}

// keep is where everything goes that must not be lost: the journal, or, in a process without
// one, the stream. It takes nothing of erased predictions.
func (s *store) keep() keeper {
	if s.keeper != nil {
		return erase.Gate{Publisher: s.keeper, Registry: s.erased}
	}
	return s.again()
}

// again is the publisher for what comes again or waits: it takes nothing of erased predictions.
func (s *store) again() erase.Gate { return erase.Gate{Publisher: s.publisher, Registry: s.erased} }

// publishEvent returns once the event is kept.
func (s *store) publishEvent(ctx context.Context, e *bridge.Event) error {
	_, err := s.keep().Publish(ctx, e)
	return err
}

// keptEvents is the publisher, except that events are kept as those of webhooks are.
type keptEvents struct {
	*stream.Publisher
	keep keeper
}

func (e keptEvents) Publish(ctx context.Context, ev *bridge.Event) (bridge.Receipt, error) {
	return e.keep.Publish(ctx, ev)
}

// durables returns all durables of the stream of events as operators see them.
func (s *store) durables() *durables.Durables {
	kinds := map[string]string{}
	for name, c := range s.cfg.Consumers {
		kinds[name] = c.Base().Kind
	}
	return durables.New(s.consume, s.cfg.Names(), kinds)
}
