package consumers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxAckPending is how many events of one durable may be with workers or
	// waiting for their next attempt. Waiting ones count, so it is far above any
	// concurrency.
	maxAckPending = 10_000
	// unlimited is how the server writes a limit that is not set.
	unlimited = -1
)

// Durable says what the durable of a consumer is to be like. Zero values are the
// defaults of [Config]; only Name is required.
type Durable struct {
	Name   string
	Filter bridge.Filter
	Start  Start
	Lease  time.Duration
	// MaxDeliveries is after how many deliveries the server delivers an event no
	// more, which it tells in an advisory. Zero is no limit: a [Consumer] counts
	// attempts by itself.
	MaxDeliveries int
	Prefix        string
}

// Durable is the durable that a [Consumer] of this configuration reads.
func (c Config) Durable() Durable {
	c = c.withDefaults()
	return Durable{Name: c.Name, Filter: c.Filter, Start: c.Start, Lease: c.Lease, Prefix: c.Prefix}
}

// Change is what [Durable.Provision] did. The zero value is nothing.
type Change struct {
	// Created: there was no durable of that name.
	Created bool
	// Differences are the settings that were changed otherwise, in words.
	Differences []string
}

var (
	// ErrMissing is wrapped when a durable does not exist.
	ErrMissing = errors.New("durable does not exist")
	// ErrDiffers is wrapped when a durable is not what it is to be; the text
	// names the settings.
	ErrDiffers = errors.New("durable differs")
)

// Provision creates the durable when it is missing and changes what would keep
// events, or parts of them, from its readers. Where it stands, and whether it is
// paused, stays. The error wraps [ErrUnusable] when no change can make it usable.
func (d Durable) Provision(ctx context.Context, js jetstream.JetStream) (Change, error) {
	d, err := d.complete()
	if err != nil {
		return Change{}, err
	}
	_, change, err := d.ensure(ctx, js, 0)
	return change, err
}

// Verify is [Durable.Provision] that changes nothing: the error wraps [ErrMissing]
// or [ErrDiffers] when there is something to change.
func (d Durable) Verify(ctx context.Context, js jetstream.JetStream) error {
	d, err := d.complete()
	if err != nil {
		return err
	}
	_, err = d.find(ctx, js)
	return err
}

// complete returns d with its defaults; the error names the field that cannot be
// used.
func (d Durable) complete() (Durable, error) {
	cfg := Config{Name: d.Name, Filter: d.Filter, Start: d.Start, Lease: d.Lease, Prefix: d.Prefix}.withDefaults()
	if err := cfg.validate(); err != nil {
		return d, err
	}
	if d.MaxDeliveries < 0 {
		return d, fmt.Errorf("consumer %s: max deliveries are %d, they must be 1 or more, or 0 for no limit", d.Name, d.MaxDeliveries)
	}
	full := cfg.Durable()
	full.MaxDeliveries = d.MaxDeliveries
	return full, nil
}

func (d Durable) names() bridge.Names { return bridge.Names{Prefix: d.Prefix} }

// find returns the durable if it is as d says.
func (d Durable) find(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	durable, _, differences, err := d.look(ctx, js)
	if err == nil && len(differences) > 0 {
		err = fmt.Errorf("%w: %s: %v", ErrDiffers, d.Name, differences)
	}
	if err != nil {
		return nil, err
	}
	return durable, nil
}

// ensure returns the durable once it is as d says, and what had to be done. One
// that is missing begins with the sequence from; zero is where d says.
func (d Durable) ensure(ctx context.Context, js jetstream.JetStream, from uint64) (jetstream.Consumer, Change, error) {
	stream := d.names().EventsStream()
	durable, want, differences, err := d.look(ctx, js)
	if errors.Is(err, ErrMissing) {
		durable, err = js.CreateConsumer(ctx, stream, d.create(from))
		if err == nil {
			return durable, Change{Created: true}, nil
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return nil, Change{}, fmt.Errorf("creating durable %s: %w", d.Name, withRemedy(err, stream, d.Name))
		}
		durable, want, differences, err = d.look(ctx, js) // another process was faster
	}
	if err != nil || len(differences) == 0 {
		return durable, Change{}, err
	}
	durable, err = js.UpdateConsumer(ctx, stream, want)
	if err != nil {
		return nil, Change{}, fmt.Errorf("changing durable %s: %w", d.Name, err)
	}
	return durable, Change{Differences: differences}, nil
}

// look returns the durable, what it is to be, and where it differs from that.
func (d Durable) look(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, jetstream.ConsumerConfig, []string, error) {
	none := jetstream.ConsumerConfig{}
	durable, err := js.Consumer(ctx, d.names().EventsStream(), d.Name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, none, nil, fmt.Errorf("%w: %s", ErrMissing, d.Name)
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return nil, none, nil, fmt.Errorf("%w: %s pushes its messages: remove it or use another name", ErrUnusable, d.Name)
	case err != nil:
		return nil, none, nil, fmt.Errorf("looking up durable %s: %w", d.Name, err)
	}
	have := durable.CachedInfo().Config
	if have.AckPolicy != jetstream.AckExplicitPolicy || have.MemoryStorage {
		return nil, none, nil, fmt.Errorf("%w: %s acknowledges by policy %v, in memory: %v: remove it or use another name",
			ErrUnusable, d.Name, have.AckPolicy, have.MemoryStorage)
	}
	want, differences := d.merge(have)
	return durable, want, differences, nil
}

// merge is have without anything that would keep events, or parts of them, from
// the handler, and what that changes. Whether it is paused is somebody's decision
// and stays.
func (d Durable) merge(have jetstream.ConsumerConfig) (jetstream.ConsumerConfig, []string) {
	var differences []string
	note := func(what string, from, to any) {
		differences = append(differences, fmt.Sprintf("%s from %v to %v", what, from, to))
	}
	want := have
	if subjects := d.subjects(); !sameSubjects(filterOf(have), subjects) {
		note("filter", filterOf(have), subjects)
		want.FilterSubject, want.FilterSubjects = "", subjects
	}
	if len(have.BackOff) > 0 { // it would replace our own delays
		note("backoff", have.BackOff, "none")
		want.BackOff = nil
	}
	diff(note, "ack wait", &want.AckWait, d.Lease)
	diff(note, "max ack pending", &want.MaxAckPending, maxAckPending)
	diff(note, "max deliver", &want.MaxDeliver, d.maxDeliver())
	diff(note, "headers only", &want.HeadersOnly, false)
	diff(note, "inactive threshold", &want.InactiveThreshold, 0)
	diff(note, "rate limit", &want.RateLimit, 0)
	diff(note, "max request batch", &want.MaxRequestBatch, 0)
	diff(note, "max request expires", &want.MaxRequestExpires, 0)
	diff(note, "max request bytes", &want.MaxRequestMaxBytes, 0)
	return want, differences
}

// diff sets what have points to, and notes it, when it is not want.
func diff[T comparable](note func(what string, from, to any), what string, have *T, want T) {
	if *have != want {
		note(what, *have, want)
		*have = want
	}
}

// create is the configuration of a new durable.
func (d Durable) create(from uint64) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable:        d.Name,
		Description:    "Hookspan consumer",
		FilterSubjects: d.subjects(),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        d.Lease,
		MaxAckPending:  maxAckPending,
		MaxDeliver:     d.maxDeliver(),
		DeliverPolicy:  jetstream.DeliverNewPolicy,
	}
	switch {
	case from > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	case d.Start.All:
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	case !d.Start.At.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &d.Start.At
	}
	return cfg
}

// maxDeliver has no limit for whoever counts attempts by itself: a delivery is
// counted by the server also when a worker restarts, and an event that it stops
// delivering is one that the worker never hears of.
func (d Durable) maxDeliver() int { return cmp.Or(d.MaxDeliveries, unlimited) }

// subjects are those of the filter and that on which events come again for this
// consumer alone.
func (d Durable) subjects() []string {
	subjects, _ := d.Filter.Subjects(d.names())
	return append(subjects, d.names().AllAgain(d.Name))
}

func filterOf(cfg jetstream.ConsumerConfig) []string {
	if cfg.FilterSubject != "" {
		return []string{cfg.FilterSubject}
	}
	return cfg.FilterSubjects
}

func sameSubjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
