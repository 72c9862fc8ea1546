package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/streamread"
)

// binding is the state of the stream and the durable since this process reached them first.
type binding struct {
	// stream is when the stream was created. A stream that was made anew counts its sequences
	// from 1.
	stream time.Time
	// first is the oldest sequence that this process must still handle; zero before the durable
	// was reached.
	first uint64
	// last is the stream's last sequence when the durable was last looked up. An event up to
	// last may have failed before although the durable, made anew or restored, delivers it for
	// the first time.
	last uint64
}

// bind returns the durable, once it is as the configuration says, and its binding.
func (c *Consumer) bind(ctx context.Context) (jetstream.Consumer, binding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.bound == binding{}
	reached, err := c.reachDurable(ctx)
	if err != nil {
		return nil, binding{}, err
	}
	if until := reached.CachedInfo().Config.PauseUntil; until != nil && until.After(time.Now()) {
		c.log.Warn("the durable is paused, nothing is delivered", slog.Time("until", *until))
	}
	if first {
		c.log.Info("consuming", slog.Int("concurrency", c.cfg.Concurrency))
	}
	return reached, c.bound, nil
}

// reachDurable creates or changes the durable where it differs from the configuration, unless
// Config.BindOnly leaves that to somebody else.
func (c *Consumer) reachDurable(ctx context.Context) (jetstream.Consumer, error) {
	d := c.cfg.durable()
	if !c.cfg.BindOnly {
		return c.keep(ctx, d)
	}
	reached, err := d.Bind(ctx, c.js)
	switch {
	case errors.Is(err, durable.ErrMissing) || errors.Is(err, durable.ErrDiffers):
		return nil, fmt.Errorf("%w: whoever provisions stream %s must put it right, with hookspan provision for example", err, c.names.EventsStream())
	case err != nil:
		return nil, err
	}
	c.bound.last = math.MaxUint64 // such a user may not look the stream up
	return reached, nil
}

// keep makes the durable what d says. A durable that somebody removed begins again where this
// process must go on, or with the first event of a stream that was made anew: events may come
// again, but none is left out.
func (c *Consumer) keep(ctx context.Context, d durable.Definition) (jetstream.Consumer, error) {
	stream, err := streamread.Open(ctx, c.js, c.names.EventsStream())
	if err != nil {
		return nil, err
	}
	info, b := stream.CachedInfo(), &c.bound
	if b.first > 0 && !b.stream.Equal(info.Created) {
		c.log.Error("the stream was made anew, beginning with its first event")
		b.first = 1
	}
	d.Remaking = func(first uint64) error {
		b.first = first
		return nil
	}
	reached, change, err := d.Ensure(ctx, c.js, stream, b.first)
	if err != nil {
		return nil, err
	}
	switch {
	case change.Created && b.first > 0:
		c.log.Error("the durable is gone, created it again", slog.Uint64("from_sequence", b.first), slog.Any("filter", d.Subjects()))
	case change.Created:
		c.log.Info("created the durable", slog.Any("filter", d.Subjects()))
	case len(change.Differences) > 0:
		c.log.Warn("changed the durable", slog.Any("changes", change.Differences),
			slog.Bool("made_anew", change.Remade), slog.Uint64("skipped_events", change.Skipped))
	}
	if next := reached.CachedInfo().AckFloor.Stream + 1; b.first == 0 || next < b.first { // somebody set it back
		b.first = next
	}
	b.stream, b.last = info.Created, info.State.LastSeq
	return reached, nil
}
