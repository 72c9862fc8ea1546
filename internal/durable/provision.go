package durable

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Change is what [Definition.Provision] did. The zero value is nothing.
type Change struct {
	// Created: there was no durable of that name.
	Created bool
	// Differences are the other changed settings, in words.
	Differences []string
	// Remade: the durable was removed and made again, since the server cannot change all
	// differences in place. Events may come again.
	Remade bool
	// Skipped is how many waiting events the old filter picked and the new one does not.
	Skipped uint64
}

// Provision makes a missing durable, and corrects settings that would keep events, or parts of
// them, from its readers. Its position, and whether it is paused, stay. The error wraps
// [ErrUnusable] when no change can make it usable.
func (d Definition) Provision(ctx context.Context, js jetstream.JetStream) (Change, error) {
	return d.ProvisionFrom(ctx, js, 0)
}

// ProvisionFrom is [Definition.Provision] for a durable that is known to need the events from
// the sequence next on: a missing one begins there. Zero begins by Start.
func (d Definition) ProvisionFrom(ctx context.Context, js jetstream.JetStream, next uint64) (Change, error) {
	d, stream, err := d.open(ctx, js)
	if err != nil {
		return Change{}, err
	}
	_, change, err := d.Ensure(ctx, js, stream, next)
	return change, err
}

// Verify changes nothing: its error wraps [ErrMissing] or [ErrDiffers] when
// [Definition.Provision] would change something.
func (d Definition) Verify(ctx context.Context, js jetstream.JetStream) error {
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

// open returns d with its defaults, and the stream of events.
func (d Definition) open(ctx context.Context, js jetstream.JetStream) (Definition, *streamread.Stream, error) {
	d = d.WithDefaults()
	if err := d.Validate(); err != nil {
		return d, nil, err
	}
	stream, err := streamread.Open(ctx, js, d.names().EventsStream())
	return d, stream, err
}

// Bind returns the durable. The error wraps [ErrMissing] or [ErrDiffers] when it does not match
// d, apart from where it begins. d must have its defaults.
func (d Definition) Bind(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	seen, err := d.look(ctx, js)
	if err != nil {
		return nil, err
	}
	return seen.durable, seen.differ()
}

// Ensure returns the durable once it matches d, and the changes. A missing durable begins with
// the sequence next, or by Start if next is zero. d must have its defaults.
func (d Definition) Ensure(ctx context.Context, js jetstream.JetStream, stream *streamread.Stream, next uint64) (jetstream.Consumer, Change, error) {
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

func (d Definition) create(ctx context.Context, stream *streamread.Stream, next uint64) (jetstream.Consumer, error) {
	cfg := jetstream.ConsumerConfig{
		Durable:        d.Name,
		Description:    "Hookspan consumer",
		FilterSubjects: d.Subjects(),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        d.Lease,
		MaxAckPending:  MaxAckPending,
		MaxDeliver:     d.maxDeliver(),
	}
	cfg.Metadata = d.marks()
	if next > stream.CachedInfo().State.LastSeq+1 {
		next = 0 // no durable gets there by delivering
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
