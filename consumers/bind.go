package consumers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// binding is what is known of the stream and the durable since this process has
// reached them first.
type binding struct {
	// stream is when the stream was created: one that was made anew counts its
	// sequences anew.
	stream time.Time
	// first is the oldest sequence that this process is answerable for; zero
	// before the durable was reached.
	first uint64
	// last is the stream's last sequence when the durable was last looked up. An
	// event up to it may have failed before although the durable, made anew or
	// restored, delivers it for the first time.
	last uint64
}

// keep returns the durable once it is as d says. One that somebody removed since b
// was known begins where b says, or with the first event of a stream that was made
// anew: events may come again, but none is left out.
func (d Durable) keep(ctx context.Context, js jetstream.JetStream, b *binding, log *zap.Logger) (jetstream.Consumer, Change, error) {
	stream, err := js.Stream(ctx, d.names().EventsStream())
	if err != nil {
		return nil, Change{}, fmt.Errorf("looking up stream %s: %w", d.names().EventsStream(), err)
	}
	info := stream.CachedInfo()
	if b.first > 0 && !b.stream.Equal(info.Created) {
		log.Error("the stream was made anew, beginning with its first event")
		b.first = 1
	}
	d.Remaking = func(first uint64) error {
		b.first = first
		return nil
	}
	durable, change, err := d.ensure(ctx, js, stream, b.first)
	if err != nil {
		return nil, Change{}, err
	}
	switch {
	case change.Created && b.first > 0:
		log.Error("the durable is gone, created it again", zap.Uint64("from_sequence", b.first), zap.Strings("filter", d.subjects()))
	case change.Created:
		log.Info("created the durable", zap.Strings("filter", d.subjects()))
	case len(change.Differences) > 0:
		log.Warn("changed the durable", zap.Strings("changes", change.Differences),
			zap.Bool("made_anew", change.Remade), zap.Uint64("skipped_events", change.Skipped))
	}
	if next := durable.CachedInfo().AckFloor.Stream + 1; b.first == 0 || next < b.first { // somebody set it back
		b.first = next
	}
	b.stream, b.last = info.Created, info.State.LastSeq
	return durable, change, nil
}

// bind returns the durable that is as the configuration says, and what is known of
// it.
func (c *Consumer) bind(ctx context.Context) (jetstream.Consumer, binding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.bound == binding{}
	durable, err := c.reachDurable(ctx)
	if err != nil {
		return nil, binding{}, err
	}
	if until := durable.CachedInfo().Config.PauseUntil; until != nil && until.After(time.Now()) {
		c.log.Warn("the durable is paused, nothing is delivered", zap.Time("until", *until))
	}
	if first {
		c.log.Info("consuming", zap.Int("concurrency", c.cfg.Concurrency))
	}
	return durable, c.bound, nil
}

// reachDurable creates or changes the durable when it is not what the configuration
// says, unless somebody else does that.
func (c *Consumer) reachDurable(ctx context.Context) (jetstream.Consumer, error) {
	d := c.cfg.Durable()
	if !c.cfg.BindOnly {
		durable, _, err := d.keep(ctx, c.js, &c.bound, c.log)
		return durable, err
	}
	seen, err := d.look(ctx, c.js)
	if err == nil {
		err = seen.differ()
	}
	switch {
	case errors.Is(err, ErrMissing) || errors.Is(err, ErrDiffers):
		return nil, fmt.Errorf("%w: whoever provisions stream %s must put it right, with hookspan provision for example", err, c.names.EventsStream())
	case err != nil:
		return nil, err
	}
	c.bound.last = math.MaxUint64 // how far the stream goes may not be asked
	return seen.durable, nil
}
