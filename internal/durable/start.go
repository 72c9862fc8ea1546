package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/streamread"
)

// fromAll is a sequence from which nothing is left out.
const fromAll = 1

// first is the sequence with which d.Start begins, zero for events stored from now on. It looks
// up a time itself, because nats-server 2.15.2 then begins at the first message of whichever
// filter subject has none before that time, and skips those of other subjects in between
// (selectStartingSeqNo).
func (d Definition) first(ctx context.Context, stream *streamread.Stream) (uint64, error) {
	switch {
	case d.Start.All:
		return fromAll, nil
	case d.Start.At.IsZero():
		return 0, nil
	}
	return streamread.FirstSince(ctx, stream, d.Start.At)
}

func beginWith(cfg *jetstream.ConsumerConfig, first uint64) {
	cfg.OptStartSeq, cfg.OptStartTime = 0, nil
	switch first {
	case 0:
		cfg.DeliverPolicy = jetstream.DeliverNewPolicy
	case fromAll:
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	default:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, first
	}
}

// checkStart notes in f when the durable begins after events that it must have.
//
// No durable gets beyond the end of the stream by delivering. A configured durable that another
// program made must begin at d.Start. One that has delivered already is not remade, since its
// reader would get handled events again: the error wraps [ErrUnusable] then.
func (d Definition) checkStart(ctx context.Context, stream *streamread.Stream, f *found) error {
	info, have := f.info(), f.info().Config
	now, err := stream.Info(ctx) // read after the durable, so that its position is not too new
	if err != nil {
		return fmt.Errorf("looking at stream %s: %w", info.Stream, err)
	}
	end := now.State.LastSeq + 1
	foreign := d.Kind != "" && have.Metadata[consumerstate.MetadataKind] == ""
	first := uint64(0)
	if foreign {
		if first, err = d.first(ctx, stream); err != nil {
			return err
		}
	}
	switch {
	case info.AckFloor.Stream >= end, have.OptStartTime != nil && have.OptStartTime.After(now.TimeStamp):
		if f.from, err = d.resume(ctx, stream, info); err != nil {
			return err
		}
		f.note("start", startOf(have), fmt.Sprintf("event %d", f.from))
	case foreign && first > 0 && !d.begins(info, first):
		f.note("start", startOf(have), fmt.Sprintf("event %d", first))
		if info.Delivered.Consumer > 0 {
			return fmt.Errorf("%w: %s was made by another program, begins with %s and has delivered events: set it to where it is to go on with hookspan consumers seek, or remove it",
				ErrUnusable, d.Name, startOf(have))
		}
		f.from = first
	}
	return nil
}

// resume returns a sequence for a durable that is beyond the end of its stream, for example
// because the stream has lost its end: it skips nothing, so events may come again.
func (d Definition) resume(ctx context.Context, stream *streamread.Stream, info *jetstream.ConsumerInfo) (uint64, error) {
	if last := info.Delivered.Last; last != nil {
		return streamread.FirstSince(ctx, stream, *last)
	}
	first, err := d.first(ctx, stream)
	return max(first, fromAll), err
}

// begins reports whether the durable delivers, or has delivered, everything from the sequence
// first of d.Start on.
func (d Definition) begins(info *jetstream.ConsumerInfo, first uint64) bool {
	if info.Config.DeliverPolicy == jetstream.DeliverAllPolicy {
		return true
	}
	if info.Config.DeliverPolicy == jetstream.DeliverByStartSequencePolicy {
		return info.Config.OptStartSeq <= first
	}
	if info.Delivered.Consumer == 0 {
		// This policy skips everything before the last event of each subject.
		if info.Config.DeliverPolicy == jetstream.DeliverLastPerSubjectPolicy {
			return false
		}
		return info.AckFloor.Stream < first // the floor is right before its first sequence
	}
	return info.Created.Before(d.Start.At) // it delivers every event stored since
}

func startOf(cfg jetstream.ConsumerConfig) string {
	switch {
	case cfg.OptStartTime != nil:
		return cfg.OptStartTime.Format(time.RFC3339)
	case cfg.OptStartSeq > 0:
		return fmt.Sprintf("event %d", cfg.OptStartSeq)
	case cfg.DeliverPolicy == jetstream.DeliverAllPolicy:
		return "all"
	case cfg.DeliverPolicy == jetstream.DeliverNewPolicy:
		return "new"
	}
	return "the last events"
}

// remake removes the durable and makes it as cfg says, but from the sequence first on.
func remake(ctx context.Context, stream *streamread.Stream, cfg jetstream.ConsumerConfig, first uint64) (jetstream.Consumer, error) {
	if err := stream.DeleteConsumer(ctx, cfg.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	beginWith(&cfg, first)
	durable, err := stream.CreateConsumer(ctx, cfg)
	if errors.Is(err, jetstream.ErrConsumerExists) { // another process was faster, and compares as this one does
		return stream.Consumer(ctx, cfg.Durable)
	}
	return durable, err
}
