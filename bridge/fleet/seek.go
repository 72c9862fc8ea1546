package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/redelivery"
)

// remakes is how often a durable is made anew, when the program that reads it is
// faster each time.
const remakes = 5

// Position is where a consumer goes on. One of its fields is set.
type Position struct {
	// First is the oldest event that is stored, New the next one that comes.
	First, New bool
	// Since is the first event that was stored then or later.
	Since time.Time
	// Sequence is that of an event in its stream.
	Sequence uint64
}

// Sought is what [Fleet.Seek] does.
type Sought struct {
	// From was the sequence behind the last one that was delivered, To is that from
	// which the consumer goes on.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Seek has a consumer go on at another place. Set back it is given events again that
// it has handled, set forward it is never given those in between. What waits for its
// next attempt elsewhere still comes. A consumer that acts once acknowledges what it
// has finished without running it. Dry run changes nothing.
func (f *Fleet) Seek(ctx context.Context, name string, to Position, dryRun bool) (Sought, error) {
	stream, err := f.stream(ctx)
	if err != nil {
		return Sought{}, err
	}
	durable, err := stream.Consumer(ctx, name)
	if err != nil {
		return Sought{}, fmt.Errorf("seeking consumer %s: %w", name, known(err))
	}
	s := Sought{From: durable.CachedInfo().Delivered.Stream + 1}
	if s.To, err = sequence(ctx, stream, to); err != nil || dryRun {
		return s, err
	}
	// The server sets only those back that began with the oldest event, or with one
	// before that.
	if _, err := stream.ResetConsumerToSequence(ctx, name, s.To); err == nil {
		return s, nil
	}
	return s, f.remake(ctx, stream, durable.CachedInfo().Config, s.To)
}

func sequence(ctx context.Context, stream jetstream.Stream, to Position) (uint64, error) {
	state := stream.CachedInfo().State
	switch {
	case to.First:
		return max(1, state.FirstSeq), nil
	case to.New:
		return state.LastSeq + 1, nil
	case !to.Since.IsZero():
		return redelivery.FirstSince(ctx, stream, to.Since)
	case to.Sequence == 0:
		return 0, fmt.Errorf("no position is given")
	}
	return min(to.Sequence, state.LastSeq+1), nil
}

// remake removes a durable and makes it anew, at a sequence. A program that reads it
// may make it anew in between, where it was; then it is removed once more.
func (f *Fleet) remake(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig, seq uint64) error {
	cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, seq, nil
	for range remakes {
		if err := stream.DeleteConsumer(ctx, cfg.Durable); err != nil && !errors.Is(known(err), bridge.ErrNoConsumer) {
			return fmt.Errorf("seeking consumer %s: %w", cfg.Durable, err)
		}
		_, err := stream.CreateConsumer(ctx, cfg)
		if err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("making durable %s anew, which is gone now: %w", cfg.Durable, err)
		}
	}
	return fmt.Errorf("seeking consumer %s: its program made the durable anew each time: stop the program, and try again", cfg.Durable)
}
