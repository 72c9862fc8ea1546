package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/streamread"
)

// durableSet keeps the durables of the configuration what they are to be. They exist
// before the first event goes to the stream, in every process that makes streams: a
// consumer is given whatever was accepted since its configuration was first served.
type durableSet struct {
	cfg    *config.Config
	store  *store
	record *durables.Record
	log    *zap.Logger

	once  sync.Once
	ready chan struct{} // closed once each durable was made, or could not be

	// Of the one goroutine that provisions.

	settled map[string]bool // those that were once what they are to be
	named   bool            // orphans were logged
}

// openRecord reads what the folder remembers of consumers and notes those of the
// configuration; without a folder nothing is remembered.
func openRecord(cfg *config.Config, folder *stream.Folder, log *zap.Logger) (*durables.Record, error) {
	var memory durables.Memory
	if folder != nil {
		memory = folder.Memory(recordFile)
	}
	record, err := durables.OpenRecord(memory, placeOf(cfg))
	if err != nil {
		log.Error("what was remembered of the consumers is lost: start: new means from now on, and a durable whose state is lost may give more events again", zap.Error(err))
	}
	// Events of a consumer whose durable was never made can only lie in a spool.
	waits := folder != nil && cfg.NATS.URL != "" && cfg.NATS.Provision == config.ProvisionCreate && folder.HasSpool()
	return record, record.Serve(servedOf(cfg), waits)
}

func newDurableSet(cfg *config.Config, s *store, record *durables.Record) *durableSet {
	return &durableSet{cfg: cfg, store: s, record: record, log: s.log.Named("durables"), ready: make(chan struct{}), settled: map[string]bool{}}
}

// position is the first sequence that a durable may still need, if it is known.
func (d *durableSet) position(streamName, durable string) (uint64, bool) {
	if streamName != d.cfg.Names().EventsStream() {
		return 0, false
	}
	return d.record.Next(durable)
}

// recordFile is where the data folder remembers consumers.
const recordFile = "consumers.json"

// place is where the configuration has events.
func placeOf(c *config.Config) durables.Place {
	at := durables.Place{Store: durables.Embedded, Prefix: c.NATS.Prefix}
	if c.NATS.URL != "" {
		at.Store = c.NATS.URL // validated: there are no credentials in it
	}
	return at
}

// served are the consumers whose durables this process makes. A process that runs no
// consumers leaves the archive that nobody configured to those that run it: an archive
// begins with the oldest event, whenever its durable is made.
func servedOf(c *config.Config) map[string]durables.Served {
	out := map[string]durables.Served{}
	for name, cons := range c.Consumers {
		if base := cons.Base(); !base.Implied || c.Has(config.RoleConsumers) {
			out[name] = durables.Served{Kind: base.Kind, Filter: base.Filter.Filter()}
		}
	}
	return out
}

// start is where the durable of a consumer begins that does not exist yet. New is what
// was accepted since the consumer was first served, which is before the durable can be
// made where NATS is away.
func (d *durableSet) start(name string, cons config.Consumer) (consumers.Start, error) {
	start, err := config.ParseStart(cons.Base().Start)
	if err == nil && !start.All && start.At.IsZero() {
		start.At = d.record.Consumers()[name].Since
	}
	return start, err
}

// provision makes every durable what it is to be. An error is of NATS as a whole; what
// one durable alone cannot be is an alarm, and in failed.
func (d *durableSet) provision(ctx context.Context) (done []Provisioned, failed, err error) {
	st, err := streamread.Open(ctx, d.store.consume, d.store.cfg.Names.EventsStream())
	if err != nil {
		return nil, nil, err
	}
	if err := d.record.Reached(st.CachedInfo().Created); err != nil {
		return nil, nil, err
	}
	// How far the server's clock, by which events are stored, is ahead of ours. What
	// the answer took makes that less, so a durable begins rather too early.
	ahead := time.Until(st.CachedInfo().TimeStamp)
	served := d.record.Consumers()
	for _, name := range slices.Sorted(maps.Keys(served)) {
		change, err := d.provisionWithin(ctx, name, served[name], ahead)
		if err == nil {
			err = d.record.Made(name)
		}
		if ctx.Err() != nil || !d.store.consume.Conn().IsConnected() {
			return done, failed, cmp.Or(err, ctx.Err(), nats.ErrDisconnected)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("consumers.%s: %w", name, err))
			kind := bridge.AlarmConsumerUnusable
			if errors.Is(err, durable.ErrDamaged) {
				kind = bridge.AlarmDurableDamaged
			}
			d.raise(kind, name, "its durable is not what it is to be, and stays as it is until somebody sees to it: "+err.Error())
			continue
		}
		d.tell(name, change)
		if change.Created || len(change.Differences) > 0 {
			done = append(done, Provisioned{Name: name, Created: change.Created, Changes: change.Differences})
		}
	}
	d.nameOrphans(ctx)
	d.once.Do(func() { close(d.ready) })
	return done, failed, nil
}

// durableTimeout bounds what is done for one durable. One whose replicas have no leader
// does not answer, and must hold up neither the others nor webhooks.
const durableTimeout = 5 * time.Second

func (d *durableSet) provisionWithin(ctx context.Context, name string, served durables.Served, ahead time.Duration) (durable.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, durableTimeout)
	defer cancel()
	return d.provisionOne(ctx, name, served, ahead)
}

func (d *durableSet) provisionOne(ctx context.Context, name string, served durables.Served, ahead time.Duration) (durable.Change, error) {
	cons, ok := d.cfg.Consumers[name]
	if !ok { // it was removed before its durable could be made, and has events
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
	if d.settled[name] || !d.cfg.Has(config.RoleConsumers) {
		// Two bridges with different configurations must not change a durable to and fro
		// for as long as both run, as in the middle of a deployment.
		switch err := want.Verify(ctx, d.store.consume); {
		case errors.Is(err, durable.ErrOtherBridge) && d.cfg.Has(config.RoleConsumers):
			d.raise(bridge.AlarmConsumerChanged, name, "another bridge has another configuration of it, which is in force until this one is started again: "+err.Error())
			return durable.Change{}, nil
		case err == nil, errors.Is(err, durable.ErrDiffers) && !d.cfg.Has(config.RoleConsumers), errors.Is(err, durable.ErrOtherBridge):
			return durable.Change{}, nil
		}
	}
	change, err := want.ProvisionFrom(ctx, d.store.consume, next)
	if err == nil && served.Before != nil {
		d.tellNarrowed(ctx, name, served, change)
	}
	return change, err
}

// tellNarrowed tells of events that a consumer is not given since its filter has changed,
// where NATS cannot count them.
func (d *durableSet) tellNarrowed(ctx context.Context, name string, served durables.Served, change durable.Change) {
	const replay = "hookspan events replay --consumer %s gives it those that it should have all the same"
	if d.store.spool != nil {
		state, err := d.store.spool.State(ctx)
		if err != nil {
			d.log.Warn("how many events lie in the spool is unknown", zap.Error(err))
		}
		if err != nil || state.Messages > 0 {
			d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter has changed while NATS could not be reached, and of the %d events in the spool "+
				"those that it does not pick any more are not given to it: "+replay, state.Messages, name))
		}
	}
	if _, rest := served.Filter.Subjects(d.cfg.Names()); rest && d.record.Waiting(name) > change.Skipped {
		d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter.model has changed, and of the %d events that were waiting for it "+
			"those of other models are passed over: "+replay, d.record.Waiting(name), name))
	}
}

// tell says what was done to a durable, with an alarm where somebody else had a hand in
// it or where events are concerned.
func (d *durableSet) tell(name string, change durable.Change) {
	known := d.settled[name]
	d.settled[name] = true
	differences := strings.Join(change.Differences, "; ")
	switch {
	case change.Created && known:
		d.raise(bridge.AlarmConsumerRemoved, name, "somebody removed the durable; it was made again, and events that it had delivered may come again")
	case change.Created:
		d.log.Info("created the durable", zap.String("consumer", name))
	case change.Remade:
		d.raise(bridge.AlarmConsumerChanged, name, "the durable was not what the configuration says and was made anew; events that it had delivered may come again: "+differences)
	case known && differences != "":
		d.raise(bridge.AlarmConsumerChanged, name, "somebody changed the durable, it was changed back: "+differences)
	case differences != "":
		d.log.Warn("changed the durable", zap.String("consumer", name), zap.Strings("changes", change.Differences))
	}
	if change.Skipped > 0 {
		d.raise(bridge.AlarmConsumerNarrowed, name, fmt.Sprintf("its filter does not pick %d of the events that were waiting for it any more, and they are not given to it: "+
			"hookspan events replay --consumer %s gives it those that it should have all the same", change.Skipped, name))
	}
}

// verify says what differs, where somebody else makes the durables.
func (d *durableSet) verify(ctx context.Context) (failed error) {
	if st, err := streamread.Open(ctx, d.store.consume, d.store.cfg.Names.EventsStream()); err == nil {
		failed = d.record.Reached(st.CachedInfo().Created)
	}
	for _, name := range slices.Sorted(maps.Keys(servedOf(d.cfg))) {
		want, err := durableOf(d.cfg, name, d.cfg.Consumers[name])
		if err == nil {
			err = want.Verify(ctx, d.store.consume)
		}
		switch {
		case errors.Is(err, durable.ErrMissing):
			d.raise(bridge.AlarmConsumerRemoved, name, "there is no such durable, and nothing is delivered: create it with hookspan provision")
		case errors.Is(err, durable.ErrDiffers):
			d.raise(bridge.AlarmConsumerChanged, name, "the durable is not what the configuration says, change it with hookspan provision: "+err.Error())
		case err == nil:
			err = d.record.Made(name)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// nameOrphans logs once which consumers the configuration does not name any more.
func (d *durableSet) nameOrphans(ctx context.Context) {
	if d.named {
		return
	}
	states, err := d.store.fleet(d.cfg).List(ctx)
	if err != nil {
		d.log.Warn("cannot look for consumers that the configuration does not name any more, trying again", zap.Error(err))
		return
	}
	d.named = true
	for _, s := range states {
		if s.Orphaned {
			d.log.Warn(durables.Orphan(s), zap.String("consumer", s.Name), zap.Uint64("waiting", s.Outstanding()))
		}
	}
}

func (d *durableSet) raise(kind, name, text string) {
	d.store.alarms.Raise(bridge.Alarm{Kind: kind, Subject: name, Text: "consumer " + name + ": " + text})
}

// wait returns when the durables were made, as far as they can be, or are somebody
// else's to make. It is false when ctx ends before.
func (d *durableSet) wait(ctx context.Context) bool {
	if d.store.mode != config.ProvisionCreate {
		return true
	}
	select {
	case <-d.ready:
		return true
	case <-ctx.Done():
		return false
	}
}
