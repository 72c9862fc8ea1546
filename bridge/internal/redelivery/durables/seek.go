package durables

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// remakes is how often a durable is made anew, when the program that reads it is
// faster each time.
const remakes = 5

// Seek has a consumer go on at another place. Set back it is given events again that
// it has handled, set forward it is never given those in between. What it was given
// before the new place and has not settled is not given again either, which is told;
// what waits for its next attempt elsewhere still comes. A consumer that acts once acknowledges what it
// has finished without running it. Dry run changes nothing. The error wraps
// [adminapi.ErrPredictionsConsumer] for that of the prediction store: set forward it
// would miss events, and set back it knows them already.
func (d *Durables) Seek(ctx context.Context, name string, to adminapi.ConsumerPosition, dryRun bool) (adminapi.ConsumerSeek, error) {
	if name == bridge.PredictionsConsumer {
		return adminapi.ConsumerSeek{}, fmt.Errorf("seeking consumer %s: %w", name, adminapi.ErrPredictionsConsumer)
	}
	stream, err := d.stream(ctx)
	if err != nil {
		return adminapi.ConsumerSeek{}, err
	}
	durable, err := stream.Consumer(ctx, name)
	if err != nil {
		return adminapi.ConsumerSeek{}, fmt.Errorf("seeking consumer %s: %w", name, known(err))
	}
	info := durable.CachedInfo()
	s := adminapi.ConsumerSeek{From: info.Delivered.Stream + 1}
	if s.To, err = sequence(ctx, stream, to); err != nil {
		return s, err
	}
	if s.To > info.AckFloor.Stream+1 {
		s.Left = info.NumAckPending
	}
	if dryRun {
		return s, nil
	}
	// The server sets only those back that began with the oldest event, or with one
	// before that.
	if _, err := stream.ResetConsumerToSequence(ctx, name, s.To); err == nil {
		return s, nil
	}
	return s, d.remake(ctx, stream, info.Config, s.To)
}

func sequence(ctx context.Context, stream jetstream.Stream, to adminapi.ConsumerPosition) (uint64, error) {
	state := stream.CachedInfo().State
	switch {
	case to.First:
		return max(1, state.FirstSeq), nil
	case to.New:
		return state.LastSeq + 1, nil
	case !to.Since.IsZero():
		return streamread.FirstSince(ctx, stream, to.Since)
	case to.Sequence == 0:
		return 0, fmt.Errorf("no position is given")
	}
	return min(to.Sequence, state.LastSeq+1), nil
}

// remake removes a durable and makes it anew, at a sequence. A program that reads it
// may make it anew in between, where it was; then it is removed once more.
func (d *Durables) remake(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig, seq uint64) error {
	cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, seq, nil
	for range remakes {
		if err := stream.DeleteConsumer(ctx, cfg.Durable); err != nil && !errors.Is(known(err), adminapi.ErrNoConsumer) {
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
