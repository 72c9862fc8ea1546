package consumers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/streamread"
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
	// Kind, if set, marks the durable as one that a bridge's configuration names,
	// see [consumerstate.MetadataKind]. Where a durable begins that lacks the mark is held
	// against Start, since somebody else made it.
	Kind string
	// Remaking, if set, is told with which sequence a durable will begin that has to be
	// made anew, before it is removed. An error leaves it as it is.
	Remaking func(first uint64) error
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
	// Remade: the durable was removed and made again, since the server cannot change
	// all of the differences in one that exists. Events may come again.
	Remade bool
	// Skipped is how many events were waiting that the filter picked before and does
	// not pick any more.
	Skipped uint64
}

var (
	// ErrMissing is wrapped when a durable does not exist.
	ErrMissing = errors.New("durable does not exist")
	// ErrDiffers is wrapped when a durable is not what it is to be; the text
	// names the settings.
	ErrDiffers = errors.New("durable differs")
	// ErrOtherBridge is wrapped beside ErrDiffers when another bridge, with another
	// configuration, has made the durable what it is.
	ErrOtherBridge = errors.New("another configuration is in force")
)

// Provision creates the durable when it is missing and changes what would keep
// events, or parts of them, from its readers. Where it stands, and whether it is
// paused, stays. The error wraps [ErrUnusable] when no change can make it usable.
func (d Durable) Provision(ctx context.Context, js jetstream.JetStream) (Change, error) {
	return d.ProvisionFrom(ctx, js, 0)
}

// ProvisionFrom is [Durable.Provision] of a durable that is known to have needed the
// events from the sequence next on: one that is missing begins there. Zero is where
// Start says.
func (d Durable) ProvisionFrom(ctx context.Context, js jetstream.JetStream, next uint64) (Change, error) {
	d, stream, err := d.open(ctx, js)
	if err != nil {
		return Change{}, err
	}
	_, change, err := d.ensure(ctx, js, stream, next)
	return change, err
}

// Verify is [Durable.Provision] that changes nothing: the error wraps [ErrMissing]
// or [ErrDiffers] when there is something to change.
func (d Durable) Verify(ctx context.Context, js jetstream.JetStream) error {
	d, stream, err := d.open(ctx, js)
	if err != nil {
		return err
	}
	seen, err := d.look(ctx, js)
	if err != nil {
		return err
	}
	if err := d.checkStart(ctx, stream, seen); err != nil {
		return err
	}
	err = seen.differ()
	if mark := seen.info().Config.Metadata[consumerstate.MetadataConfig]; err != nil && d.Kind != "" && mark != "" && mark != d.digest() {
		err = fmt.Errorf("%w: %w", ErrOtherBridge, err)
	}
	return err
}

func (d Durable) open(ctx context.Context, js jetstream.JetStream) (Durable, jetstream.Stream, error) {
	d, err := d.complete()
	if err != nil {
		return d, nil, err
	}
	stream, err := streamread.Open(ctx, js, d.names().EventsStream())
	return d, stream, err
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
	full.MaxDeliveries, full.Kind, full.Remaking = d.MaxDeliveries, d.Kind, d.Remaking
	return full, nil
}

func (d Durable) names() bridge.Names { return bridge.Names{Prefix: d.Prefix} }

// found is a durable that exists.
type found struct {
	durable jetstream.Consumer
	// want is its configuration without the differences from what it is to be.
	want        jetstream.ConsumerConfig
	differences []string
	// from is where it has to be made anew; zero: the server can change it.
	from uint64
}

func (f *found) info() *jetstream.ConsumerInfo { return f.durable.CachedInfo() }

func (f *found) note(what string, from, to any) {
	f.differences = append(f.differences, fmt.Sprintf("%s from %v to %v", what, from, to))
}

// differ returns an error that wraps ErrDiffers when there are differences.
func (f *found) differ() error {
	if len(f.differences) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %v", ErrDiffers, f.info().Name, f.differences)
}

// look returns the durable and where it differs from what it is to be, apart from
// where it begins: see [Durable.checkStart].
func (d Durable) look(ctx context.Context, js jetstream.JetStream) (*found, error) {
	durable, err := js.Consumer(ctx, d.names().EventsStream(), d.Name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("%w: %s", ErrMissing, d.Name)
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return nil, fmt.Errorf("%w: %s pushes its messages: remove it or use another name", ErrUnusable, d.Name)
	case err != nil:
		return nil, fmt.Errorf("looking up durable %s: %w", d.Name, err)
	}
	have := durable.CachedInfo().Config
	if have.AckPolicy != jetstream.AckExplicitPolicy || have.MemoryStorage {
		return nil, fmt.Errorf("%w: %s acknowledges by policy %v, in memory: %v: remove it or use another name",
			ErrUnusable, d.Name, have.AckPolicy, have.MemoryStorage)
	}
	f := &found{durable: durable, want: have}
	d.compare(f)
	return f, nil
}

// compare notes whatever would keep events, or parts of them, from the handler.
// Whether the durable is paused is somebody's decision and stays.
func (d Durable) compare(f *found) {
	have, want := f.info().Config, &f.want
	if subjects := d.subjects(); !sameSubjects(filterOf(have), subjects) {
		f.note("filter", filterOf(have), subjects)
		want.FilterSubject, want.FilterSubjects = "", subjects
	}
	if len(have.BackOff) > 0 { // it would replace our own delays
		f.note("backoff", have.BackOff, "none")
		want.BackOff = nil
	}
	if have.PriorityPolicy != jetstream.PriorityPolicyNone || len(have.PriorityGroups) > 0 { // requests that name no group are refused
		f.note("priority groups", have.PriorityGroups, "none")
		want.PriorityPolicy, want.PriorityGroups, want.PinnedTTL = jetstream.PriorityPolicyNone, nil, 0
	}
	diff(f, "ack wait", &want.AckWait, d.Lease)
	diff(f, "max ack pending", &want.MaxAckPending, maxAckPending)
	diff(f, "max deliver", &want.MaxDeliver, d.maxDeliver())
	diff(f, "headers only", &want.HeadersOnly, false)
	diff(f, "inactive threshold", &want.InactiveThreshold, 0)
	diff(f, "rate limit", &want.RateLimit, 0)
	diff(f, "max request batch", &want.MaxRequestBatch, 0)
	diff(f, "max request expires", &want.MaxRequestExpires, 0)
	diff(f, "max request bytes", &want.MaxRequestMaxBytes, 0)
	if have.ReplayPolicy != jetstream.ReplayInstantPolicy { // as slowly as they came
		diff(f, "replay policy", &want.ReplayPolicy, jetstream.ReplayInstantPolicy)
		f.from = f.info().AckFloor.Stream + 1
	}
	for key, value := range d.marks() {
		if have.Metadata[key] != value {
			if key == consumerstate.MetadataKind || len(f.differences) == 0 { // otherwise the differences say it
				f.note(key, cmp.Or(have.Metadata[key], "none"), value)
			}
			if want.Metadata = maps.Clone(want.Metadata); want.Metadata == nil {
				want.Metadata = map[string]string{}
			}
			want.Metadata[key] = value
		}
	}
}

// marks are the metadata of a durable that a configuration names.
func (d Durable) marks() map[string]string {
	if d.Kind == "" {
		return nil
	}
	return map[string]string{consumerstate.MetadataKind: d.Kind, consumerstate.MetadataConfig: d.digest()}
}

// digest tells configurations of one durable apart.
func (d Durable) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %v %d", d.Kind, d.subjects(), d.Lease, d.MaxDeliveries))
	return hex.EncodeToString(sum[:8])
}

// diff sets what have points to, and notes it, when it is not want.
func diff[T comparable](f *found, what string, have *T, want T) {
	if *have != want {
		f.note(what, *have, want)
		*have = want
	}
}

// ensure returns the durable once it is as d says, and what had to be done. One
// that is missing begins with the sequence next; zero is where d says.
func (d Durable) ensure(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, next uint64) (jetstream.Consumer, Change, error) {
	seen, err := d.look(ctx, js)
	if errors.Is(err, ErrMissing) {
		var durable jetstream.Consumer
		if durable, err = d.create(ctx, stream, next); err == nil {
			return durable, Change{Created: true}, nil
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return nil, Change{}, fmt.Errorf("creating durable %s: %w", d.Name, withRemedy(err, d.names().EventsStream(), d.Name))
		}
		seen, err = d.look(ctx, js) // another process was faster
	}
	if err == nil {
		err = d.checkStart(ctx, stream, seen)
	}
	if err != nil {
		return nil, Change{}, err
	}
	if len(seen.differences) == 0 {
		return seen.durable, Change{}, nil
	}
	change := Change{Differences: seen.differences, Remade: seen.from > 0}
	if change.Skipped, err = d.skipped(ctx, stream, seen.info()); err != nil {
		return nil, Change{}, fmt.Errorf("changing durable %s: %w", d.Name, err)
	}
	apply := stream.UpdateConsumer
	if change.Remade {
		if d.Remaking != nil {
			if err := d.Remaking(seen.from); err != nil {
				return nil, Change{}, err
			}
		}
		apply = func(ctx context.Context, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
			return remake(ctx, stream, want, seen.from)
		}
	}
	durable, err := apply(ctx, seen.want)
	if err != nil {
		return nil, Change{}, fmt.Errorf("changing durable %s: %w", d.Name, err)
	}
	return durable, change, nil
}

// create makes the durable.
func (d Durable) create(ctx context.Context, stream jetstream.Stream, next uint64) (jetstream.Consumer, error) {
	cfg := jetstream.ConsumerConfig{
		Durable:        d.Name,
		Description:    "Hookspan consumer",
		FilterSubjects: d.subjects(),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        d.Lease,
		MaxAckPending:  maxAckPending,
		MaxDeliver:     d.maxDeliver(),
	}
	cfg.Metadata = d.marks()
	if next > stream.CachedInfo().State.LastSeq+1 {
		next = 0 // no durable has come there by delivering
	}
	if next == 0 {
		var err error
		if next, err = d.first(ctx, stream); err != nil {
			return nil, err
		}
	}
	beginWith(&cfg, next)
	return stream.CreateConsumer(ctx, cfg)
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
