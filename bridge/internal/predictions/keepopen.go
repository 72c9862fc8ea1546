package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	shared "github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// keepEvery spaces the looks at how old the events of open predictions are.
	keepEvery = time.Minute
	// keepBlock is how many events of open predictions are read from the view at once.
	keepBlock = 1000
	// crowded is from which part of its bytes on, in percent, the stream of events may soon
	// lose the older half of its events.
	crowded = 70
)

// keptTo is a cursor in a stream of events: the open predictions with events before it are in
// the bucket.
type keptTo struct {
	Created time.Time `json:"created,omitzero"`
	Before  uint64    `json:"before,omitempty"`
}

// keptState is an open prediction in the bucket. Its sequences are of the stream that was
// created then.
type keptState struct {
	Created time.Time               `json:"created"`
	State   *bridge.PredictionState `json:"state"`
}

// keepOpen copies open predictions into the bucket once one of their events is in the older
// half of the stream: a view that is made anew would not know them when the event has left.
// It returns nil when ctx ends, and [poller.ErrNotLeader].
func (t *leadership) keepOpen(ctx context.Context) error {
	tidy := false
	for {
		err := t.keepRound(ctx)
		if err == nil && !tidy {
			err = t.tidyKept(ctx)
			tidy = err == nil
		}
		switch {
		case errors.Is(err, poller.ErrNotLeader) && ctx.Err() == nil:
			return err
		case err != nil && !errors.Is(err, errBehind) && ctx.Err() == nil:
			t.log.Warn("open predictions whose events leave the stream soon are not kept yet, trying again", zap.Error(err))
		}
		if !backoff.Sleep(ctx, keepEvery) {
			return nil
		}
	}
}

func (t *leadership) keepRound(ctx context.Context) error {
	if !t.UpToDate() {
		return errBehind
	}
	stream, err := streamread.Open(ctx, t.js, t.cfg.Names.EventsStream())
	if err != nil {
		return err
	}
	before, err := olderHalf(ctx, stream)
	if err != nil {
		return err
	}
	created := stream.CachedInfo().Created.UTC()
	t.mu.Lock()
	from := t.kept
	t.mu.Unlock()
	if !from.Created.Equal(created) {
		from = keptTo{Created: created}
	}
	for from.Before < before {
		open, next, err := t.view.OpenWithEvents(ctx, from.Before, before, keepBlock)
		if err != nil {
			return err
		}
		for _, s := range open {
			if err := t.keep(ctx, created, s); err != nil {
				return err
			}
		}
		from.Before = next
		t.mu.Lock()
		t.kept = from
		t.mu.Unlock()
	}
	return nil
}

var errBehind = errors.New("the view is behind the events")

// olderHalf returns the sequence before which events may leave the stream soon.
func olderHalf(ctx context.Context, stream *streamread.Stream) (uint64, error) {
	info := stream.CachedInfo()
	before := uint64(0)
	if age := info.Config.MaxAge; age > 0 {
		var err error
		if before, err = streamread.FirstSince(ctx, stream, time.Now().Add(-age/2)); err != nil {
			return 0, err
		}
	}
	if limit := info.Config.MaxBytes; limit > 0 && info.State.Bytes > uint64(limit)/100*crowded {
		before = max(before, info.State.FirstSeq+(info.State.LastSeq-info.State.FirstSeq)/2)
	}
	return before, nil
}

func (t *leadership) keep(ctx context.Context, created time.Time, s *bridge.PredictionState) error {
	if !time.Now().Before(t.lease.heldUntil()) {
		return fmt.Errorf("%w: this process was suspended", poller.ErrNotLeader)
	}
	key := bridge.PredictionKey(bridge.KeyOpen, s.Source, s.ID)
	have, revision, err := load[keptState](ctx, t.bucket, key)
	if err != nil || have.State != nil && have.Created.Equal(created) && have.State.Sequence >= s.Sequence {
		return err
	}
	_, err = t.bucket.put(ctx, key, keptState{Created: created, State: s}, revision, 0)
	if errors.Is(err, bridge.ErrTooLarge) {
		t.log.Error("NATS never takes an open prediction, so a view that is made anew will not know it: raise max_payload of the NATS server",
			zap.String("prediction", s.ID), zap.Error(err))
		return nil
	}
	return err
}

// mayBeKept reports whether the prediction may be in the bucket.
func (t *leadership) mayBeKept(s *bridge.PredictionState) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(s.Events) > 0 && s.Events[0].Sequence < t.kept.Before
}

// tidyKept removes what is not open any more, and what an earlier leader left.
func (t *leadership) tidyKept(ctx context.Context) error {
	return t.bucket.Walk(ctx, bridge.KeyOpen+".>", func(m *jetstream.RawStreamMsg) error {
		var have keptState
		if json.Unmarshal(m.Data, &have) == nil && have.State != nil {
			s, err := t.view.Prediction(ctx, have.State.Source, have.State.ID)
			if err == nil && s.Open() || err != nil && !errors.Is(err, bridge.ErrNotFound) {
				return err
			}
		}
		return t.bucket.Remove(ctx, m.Sequence)
	})
}

// Kept calls put for each open prediction in the bucket, in any process: a view that is made
// anew begins with them.
func Kept(ctx context.Context, js jetstream.JetStream, names bridge.Names, put func(*bridge.PredictionState) error) error {
	events, err := streamread.Open(ctx, js, names.EventsStream())
	if err != nil {
		return err
	}
	b := shared.Bucket{JS: js, Names: names}
	return b.Walk(ctx, bridge.KeyOpen+".>", func(m *jetstream.RawStreamMsg) error {
		var have keptState
		if json.Unmarshal(m.Data, &have) != nil || have.State == nil {
			return nil //nolint:nilerr // another program wrote it
		}
		if !have.Created.Equal(events.CachedInfo().Created) {
			have.State.Sequence, have.State.Again, have.State.Events = 0, 0, nil // they are of another stream
		}
		return put(have.State)
	})
}
