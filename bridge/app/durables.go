package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

// durableSet keeps the durables of the configuration as they should be. In every process that
// makes streams they exist before the first event goes to the stream: a consumer gets whatever
// was accepted since its configuration was first served.
type durableSet struct {
	*store

	log *zap.Logger

	once  sync.Once
	ready chan struct{} // closed after the first attempt on every durable

	// Owned by the one goroutine that provisions.

	settled map[string]bool // durables that were once as they should be
	named   bool            // orphans were logged
	wrong   []bridge.Alarm  // what this look at the durables found that lasts
	lasting *lasting.Alarms
}

func newDurableSet(s *store) *durableSet {
	return &durableSet{store: s, log: s.log.Named("durables"), ready: make(chan struct{}), settled: map[string]bool{}, lasting: lasting.New(s.alarms)}
}

// start is where the new durable of a consumer begins. With new that is whatever was accepted
// since the consumer was first served, which is earlier than the durable while NATS is away.
func (s *store) start(name string, cons config.Consumer) (consumers.Start, error) {
	start, err := config.ParseStart(cons.Base().Start)
	if err == nil && !start.All && start.At.IsZero() {
		start.At = s.record.Consumers()[name].Since
	}
	return start, err
}

// provision makes every durable as it should be. An error is of NATS as a whole; failures of
// single durables are alarms, and in failed.
func (d *durableSet) provision(ctx context.Context) (done []Provisioned, failed, err error) {
	st, err := streamread.Open(ctx, d.consume, d.cfg.Names().EventsStream())
	if err != nil {
		return nil, nil, err
	}
	if err := d.record.Reached(st.CachedInfo().Created); err != nil {
		return nil, nil, err
	}
	// ahead is how far the clock of the server, which stamps events, is ahead of ours. The time
	// of the call makes ahead smaller, so a durable begins rather too early.
	ahead := time.Until(st.CachedInfo().TimeStamp)
	served := d.record.Consumers()
	d.wrong = nil
	for _, name := range slices.Sorted(maps.Keys(served)) {
		change, err := d.provisionWithin(ctx, name, served[name], ahead)
		if err == nil {
			err = d.record.Made(name)
		}
		if ctx.Err() != nil || !d.consume.Conn().IsConnected() {
			return done, failed, cmp.Or(err, ctx.Err(), nats.ErrDisconnected)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("consumers.%s: %w", name, err))
			if natserr.Unavailable(err) {
				continue // it says nothing of the durable
			}
			kind := bridge.AlarmConsumerUnusable
			if errors.Is(err, durable.ErrDamaged) {
				kind = bridge.AlarmDurableDamaged
			}
			d.lasts(kind, name, "its durable is not what it is to be, and stays so until somebody repairs it: "+err.Error())
			continue
		}
		d.tell(name, change)
		if change.Created || len(change.Differences) > 0 {
			done = append(done, Provisioned{Name: name, Created: change.Created, Changes: change.Differences})
		}
	}
	d.lasting.Look(d.wrong...)
	d.nameOrphans(ctx)
	d.once.Do(func() { close(d.ready) })
	return done, failed, nil
}

// durableTimeout bounds the calls for one durable. A durable whose replicas have no leader does
// not answer, and must hold up neither the others nor webhooks.
const durableTimeout = 5 * time.Second

func durableOf(cfg *config.Config, name string, c config.Consumer) (durable.Definition, error) {
	of, err := consumerConfig(cfg, name, c)
	want := durable.Definition{Name: name, Filter: of.Filter, Start: durable.StartPoint(of.Start), Lease: of.Lease, Prefix: of.Prefix}
	if pull, ok := c.(*config.Pull); ok {
		want.MaxDeliveries = pull.MaxDeliveries
	}
	return want, err
}

func (d *durableSet) provisionWithin(ctx context.Context, name string, served durables.Served, ahead time.Duration) (durable.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, durableTimeout)
	defer cancel()
	return d.provisionOne(ctx, name, served, ahead)
}

func (d *durableSet) provisionOne(ctx context.Context, name string, served durables.Served, ahead time.Duration) (durable.Change, error) {
	cons, ok := d.cfg.Consumers[name]
	if !ok { // removed before its durable could be made, and events wait for it
		cons = &config.Pull{Common: config.Common{Start: "new"}}
	}
	want, err := durableOf(d.cfg, name, cons)
	if err != nil {
		return durable.Change{}, err
	}
	start, err := d.start(name, cons)
	if err != nil {
		return durable.Change{}, err
	}
	want.Start = durable.StartPoint(start)
	if cons.Base().Start == "new" {
		want.Start.At = want.Start.At.Add(ahead)
	}
	want.Kind, want.Filter = served.Kind, served.Filter
	next, _ := d.record.Next(name)
	want.Remaking = func(first uint64) error { return d.record.Move(name, first) }
	_, worker := cons.(config.Worker)
	runs := d.cfg.Has(config.RoleConsumers) && !worker || d.cfg.Runs(name)
	if d.settled[name] || !runs {
		// Two bridges with different configurations must not change a durable to and fro
		// for as long as both run, as in the middle of a deployment.
		switch err := want.Verify(ctx, d.consume); {
		case errors.Is(err, durable.ErrOtherBridge) && runs:
			d.lasts(bridge.AlarmConsumerChanged, name, "another bridge has another configuration of it, which is in force until this one is started again: "+err.Error())
			return durable.Change{}, nil
		case err == nil, errors.Is(err, durable.ErrDiffers) && !runs, errors.Is(err, durable.ErrOtherBridge):
			return durable.Change{}, nil
		}
	}
	change, err := want.ProvisionFrom(ctx, d.consume, next)
	if err == nil && served.Before != nil {
		d.tellNarrowed(name, served, change)
	}
	return change, err
}

// verify raises alarms for durables that differ, where somebody else makes them.
func (d *durableSet) verify(ctx context.Context) (failed error) {
	if st, err := streamread.Open(ctx, d.consume, d.cfg.Names().EventsStream()); err == nil {
		failed = d.record.Reached(st.CachedInfo().Created)
	}
	d.wrong = nil
	known := true
	for _, name := range slices.Sorted(maps.Keys(servedOf(d.cfg))) {
		want, err := durableOf(d.cfg, name, d.cfg.Consumers[name])
		if err == nil {
			err = want.Verify(ctx, d.consume)
		}
		switch {
		case errors.Is(err, durable.ErrMissing):
			d.lasts(bridge.AlarmConsumerRemoved, name, "there is no such durable, and nothing is delivered: create it with hookspan provision")
		case errors.Is(err, durable.ErrDiffers):
			d.lasts(bridge.AlarmConsumerChanged, name, "the durable is not what the configuration says, change it with hookspan provision: "+err.Error())
		case err == nil:
			err = d.record.Made(name)
		default:
			known = false
		}
		failed = errors.Join(failed, err)
	}
	if known {
		d.lasting.Look(d.wrong...)
	}
	return failed
}

// wait returns true once provision has tried every durable, or at once where somebody else makes
// durables. It returns false when ctx ends before.
func (d *durableSet) wait(ctx context.Context) bool {
	if d.cfg.NATS.Provision != config.ProvisionCreate {
		return true
	}
	select {
	case <-d.ready:
		return true
	case <-ctx.Done():
		return false
	}
}
