package durable

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/consumerstate"
)

type found struct {
	durable jetstream.Consumer
	// want is its configuration with the differences corrected.
	want        jetstream.ConsumerConfig
	differences []string
	// from is where a remade durable must begin; zero if the server can change this one.
	from uint64
}

func (f *found) info() *jetstream.ConsumerInfo { return f.durable.CachedInfo() }

func (f *found) note(what string, from, to any) {
	f.differences = append(f.differences, fmt.Sprintf("%s from %v to %v", what, from, to))
}

func (f *found) differ() error {
	if len(f.differences) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %v", ErrDiffers, f.info().Name, f.differences)
}

// look returns the durable and its differences from d, except where it begins: see
// [Definition.checkStart].
func (d Definition) look(ctx context.Context, js jetstream.JetStream) (*found, error) {
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

// compare notes differences that would keep events, or parts of them, from the handler. It
// ignores pauses, which are an operator's decision.
func (d Definition) compare(f *found) {
	have, want := f.info().Config, &f.want
	if subjects := d.Subjects(); !sameSubjects(filterOf(have), subjects) {
		f.note("filter", filterOf(have), subjects)
		want.FilterSubject, want.FilterSubjects = "", subjects
	}
	if len(have.BackOff) > 0 { // it would replace our own delays
		f.note("backoff", have.BackOff, "none")
		want.BackOff = nil
	}
	if have.PriorityPolicy != jetstream.PriorityPolicyNone || len(have.PriorityGroups) > 0 { // fetches without a group are refused
		f.note("priority groups", have.PriorityGroups, "none")
		want.PriorityPolicy, want.PriorityGroups, want.PinnedTTL = jetstream.PriorityPolicyNone, nil, 0
	}
	diff(f, "ack wait", &want.AckWait, d.Lease)
	diff(f, "max ack pending", &want.MaxAckPending, MaxAckPending)
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

// marks returns the metadata of a configured durable.
func (d Definition) marks() map[string]string {
	if d.Kind == "" {
		return nil
	}
	return map[string]string{consumerstate.MetadataKind: d.Kind, consumerstate.MetadataConfig: d.digest()}
}

// digest tells processes with different configurations apart, which leave each other's durables as
// they are. A release whose compare wants other settings of the same Definition puts a number in
// front, so that it is another configuration to older processes too.
func (d Definition) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %v %d", d.Kind, d.Subjects(), d.Lease, d.MaxDeliveries))
	return hex.EncodeToString(sum[:8])
}

// diff sets *have to want, and notes a difference.
func diff[T comparable](f *found, what string, have *T, want T) {
	if *have != want {
		f.note(what, *have, want)
		*have = want
	}
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
