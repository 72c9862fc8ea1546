package durables

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// remakes bounds how often a durable is remade while its program remakes it faster.
const remakes = 5

// Seek sets a consumer to another position. Set back, it gets events again that it has handled;
// set forward, it skips events. Seek reports the events before the new position that were
// delivered and not settled; they are not delivered again. Retries that wait in another stream
// still come. A consumer that acts once acknowledges finished events without running its
// handler. A dry run changes nothing.
func (d *Durables) Seek(ctx context.Context, name string, to adminapi.ConsumerPosition, dryRun bool) (adminapi.ConsumerSeek, error) {
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
	// The server resets only a durable that began with the oldest event, or at or before that
	// sequence.
	if _, err := stream.ResetConsumerToSequence(ctx, name, s.To); err == nil {
		return s, nil
	}
	return s, d.remake(ctx, stream, info.Config, s.To)
}

func sequence(ctx context.Context, stream *streamread.Stream, to adminapi.ConsumerPosition) (uint64, error) {
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

// remake removes a durable and makes it again from a sequence on. When its program makes it
// again in between, at the old position, remake removes it once more.
func (d *Durables) remake(ctx context.Context, stream *streamread.Stream, cfg jetstream.ConsumerConfig, seq uint64) error {
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
			return fmt.Errorf("making durable %s again after its removal: %w", cfg.Durable, err)
		}
	}
	return fmt.Errorf("seeking consumer %s: its program made the durable anew each time: stop the program, and try again", cfg.Durable)
}
