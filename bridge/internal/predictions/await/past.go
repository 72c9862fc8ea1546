package await

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// LongestFind bounds the search for one prediction.
	LongestFind = 10 * time.Second
	// maxFinds bounds the concurrent searches, findPatience the wait of further ones.
	maxFinds     = 2
	findPatience = 2 * time.Second
	// findBatch is how many headers one request fetches.
	findBatch = 1000
	// askTimeout bounds the questions before the search.
	askTimeout = 5 * time.Second
)

// Past finds predictions that the view has forgotten, by their events. It is
// safe for concurrent use.
type Past struct {
	js    jetstream.JetStream
	names bridge.Names
	slots chan struct{}
}

// NewPast returns a Past for the stream of events in js.
func NewPast(js jetstream.JetStream, names bridge.Names) *Past {
	return &Past{js: js, names: names, slots: make(chan struct{}, maxFinds)}
}

// Find reads the headers of every event of the source, for at most [LongestFind], and
// returns the state folded from the events of the prediction. The error wraps
// [bridge.ErrNotFound] when there is none, [adminapi.ErrBusy] when other searches have run
// for 2 s, [adminapi.ErrNoAnswer] when NATS does not answer, and context.DeadlineExceeded when
// the time was too short for all events.
func (p *Past) Find(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	late := time.NewTimer(findPatience)
	defer late.Stop()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-late.C:
		return nil, fmt.Errorf("looking for prediction %q of %s: %w", id, source, adminapi.ErrBusy)
	case <-ctx.Done():
		return nil, fmt.Errorf("looking for prediction %q of %s: %w: %w", id, source, adminapi.ErrBusy, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, LongestFind)
	defer cancel()
	s, err := p.find(ctx, source, id)
	if err == nil && s == nil {
		err = bridge.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("looking for prediction %q of %s: %w", id, source, err)
	}
	return s, nil
}

func (p *Past) find(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := streamread.Open(asking, p.js, p.names.EventsStream())
	if err != nil {
		return nil, noAnswer(err)
	}
	consumer, err := stream.CreateConsumer(asking, jetstream.ConsumerConfig{
		Description: "looking for one prediction", FilterSubject: p.names.EventsOf(source), DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: forgetAfter,
	})
	if err != nil {
		return nil, noAnswer(fmt.Errorf("reading the events: %w", err))
	}
	defer forget(p.js, p.names.EventsStream(), consumer.CachedInfo().Name) //nolint:contextcheck // also when ctx has ended
	var state *bridge.PredictionState
	for left := consumer.CachedInfo().NumPending; left > 0; {
		before := left
		batch, err := consumer.Fetch(int(min(left, findBatch)), jetstream.FetchContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("reading the events: %w", err)
		}
		for m := range batch.Messages() {
			left--
			e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), nil)
			if err != nil || e.PredictionID != id {
				continue
			}
			if state, err = p.fold(ctx, stream, m, state); err != nil {
				return nil, err
			}
		}
		switch err := batch.Error(); {
		case ctx.Err() != nil && left == before:
			return nil, noAnswer(ctx.Err())
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !errors.Is(err, nats.ErrTimeout):
			return nil, fmt.Errorf("reading the events: %w", err)
		case left > 0: // removed events never come
			info, err := consumer.Info(ctx)
			if err != nil {
				return nil, fmt.Errorf("reading the events: %w", err)
			}
			left = min(left, info.NumPending)
		}
	}
	return state, nil
}

// noAnswer marks an error that says that NATS does not answer.
func noAnswer(err error) error {
	if natserr.Away(err) {
		return fmt.Errorf("%w: %w", adminapi.ErrNoAnswer, err)
	}
	return err
}

// fold folds the event of the message.
func (p *Past) fold(ctx context.Context, stream jetstream.Stream, m jetstream.Msg, s *bridge.PredictionState) (*bridge.PredictionState, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("reading the events: %w", err)
	}
	raw, err := streamread.Get(ctx, stream, meta.Sequence.Stream)
	if errors.Is(err, bridge.ErrNotFound) {
		return s, nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	e, err := bridge.DecodeEvent(bridge.Header(raw.Header), raw.Data)
	if err != nil {
		return nil, fmt.Errorf("reading event %d: %w", raw.Sequence, err)
	}
	if s == nil {
		s = &bridge.PredictionState{}
	}
	fold.Fold(s, e, fold.At{Sequence: raw.Sequence, StoredAt: raw.Time})
	return s, nil
}
