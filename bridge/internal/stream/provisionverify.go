package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streams"
)

// Verify returns the changes that [Provision] would make, and changes nothing: another program
// provisions the streams. The error wraps [ErrUnfit] when the stream of events is missing, or
// when a stream cannot keep its promises as it is.
func Verify(ctx context.Context, js jetstream.JetStream, cfg streams.Config) ([]Change, error) {
	var changes []Change
	var unfit error
	for _, want := range streamsOf(cfg, js) {
		stream, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			changes = append(changes, Change{Stream: want.Name, Created: true})
			if want.Name == cfg.Names.EventsStream() {
				unfit = errors.Join(unfit, fmt.Errorf("stream %s: %w: it does not exist: make it with hookspan provision", want.Name, ErrUnfit))
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking at stream %s: %w", want.Name, err)
		}
		have := stream.CachedInfo().Config
		if err := errors.Join(checkUnchangeable(have, want), checkKeeps(have, want)); err != nil {
			unfit = errors.Join(unfit, fmt.Errorf("stream %s: %w", want.Name, err))
		}
		if _, differences := merge(have, withFormat(want)); len(differences) > 0 {
			changes = append(changes, Change{Stream: want.Name, Differences: differences})
		}
	}
	return changes, unfit
}

// checkKeeps refuses settings with which a stream loses acknowledged messages, or does not take
// them. [Provision] changes such settings.
func checkKeeps(have, want jetstream.StreamConfig) error {
	const remedy = "change it with hookspan provision"
	switch {
	case have.NoAck:
		return fmt.Errorf("%w: it acknowledges nothing: %s", ErrUnfit, remedy)
	case have.Discard != want.Discard && want.Discard == jetstream.DiscardNew:
		return fmt.Errorf("%w: it drops its oldest message when it is full: %s", ErrUnfit, remedy)
	case have.MaxMsgsPerSubject > 0 && !have.DiscardNewPerSubject && want.Discard == jetstream.DiscardNew && want.MaxMsgsPerSubject == 0:
		return fmt.Errorf("%w: it drops the oldest message of a subject that has more than %d: %s", ErrUnfit, have.MaxMsgsPerSubject, remedy)
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(have.Subjects, subject) {
			return fmt.Errorf("%w: it does not take %s: %s", ErrUnfit, subject, remedy)
		}
	}
	return nil
}
