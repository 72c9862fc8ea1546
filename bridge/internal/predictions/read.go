package predictions

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// read is a decoded event.
type read struct {
	*bridge.Event

	key string
	at  fold.At
}

// events is a block of them. Last is set also when none could be decoded.
type events struct {
	reads []read
	last  delivered
}

// read reads events and loads their entries while fold works on the block before, until ctx
// ends or something fails.
func (t *leadership) read(ctx context.Context, feed *feed, blocks chan<- events) error {
	for ctx.Err() == nil {
		got, err := t.readBlock(ctx, feed)
		if err != nil {
			return err
		}
		if got.last.Msg == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case blocks <- got:
		}
	}
	return nil
}

func (t *leadership) readBlock(ctx context.Context, feed *feed) (events, error) {
	block, err := feed.block(ctx)
	if err != nil || len(block) == 0 {
		return events{}, err
	}
	got := events{last: block[len(block)-1]}
	for _, m := range block {
		if r, ok := t.decode(m); ok {
			got.reads = append(got.reads, r)
		}
	}
	return got, t.fetch(ctx, got.reads)
}

// fold folds blocks until ctx ends or something fails.
func (t *leadership) fold(ctx context.Context, blocks <-chan events) error {
	for {
		var got events
		select {
		case <-ctx.Done():
			return nil
		case got = <-blocks:
		}
		if err := t.foldBlock(ctx, got.reads); err != nil {
			return err
		}
		if err := got.last.Ack(); err != nil {
			return fmt.Errorf("acknowledging events: %w", err)
		}
		if err := t.noteFolded(ctx, got.last); err != nil {
			return err
		}
	}
}

// decode returns false for messages that are no events; they are left out.
func (t *leadership) decode(m delivered) (read, bool) {
	e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	if err == nil {
		err = bridge.CheckName("source", e.Source)
	}
	if err == nil {
		err = checkEvent(e)
	}
	if err != nil {
		t.log.Error("something in the stream of events is no event, and is left out of the prediction store",
			zap.Uint64("sequence", m.meta.Sequence.Stream), zap.String("subject", m.Subject()), zap.Error(err))
		return read{}, false
	}
	at := fold.At{Sequence: m.meta.Sequence.Stream, StoredAt: m.meta.Timestamp.UTC(), Again: t.names.IsAgain(m.Subject())}
	if again, err := bridge.DecodeAgain(bridge.Header(m.Headers())); err == nil && at.Again {
		at.Original = again.Sequence
	}
	return read{Event: e, key: bridge.PredictionKey(bridge.KeyEntry, e.Source, e.PredictionID), at: at}, true
}

// maxEventText bounds the id, the status and the origin of an event, in bytes. A bridge's
// events stay far below it.
const maxEventText = 1 << 10

// checkEvent returns an error for an event that no bridge publishes and no prediction store
// could hold.
func checkEvent(e *bridge.Event) error {
	for _, text := range []string{e.ID, e.Status, e.RawStatus, e.Origin} {
		if len(text) > maxEventText {
			return fmt.Errorf("its id, status or origin has %d bytes, at most %d are possible", len(text), maxEventText)
		}
	}
	if n := len(e.PredictionID); n > bridge.MaxPredictionID {
		return fmt.Errorf("its prediction id has %d bytes, at most %d are possible", n, bridge.MaxPredictionID)
	}
	if n := bridge.EncodedLen(e.Model); n > bridge.MaxModel {
		return fmt.Errorf("its model has %d bytes when encoded, at most %d are possible", n, bridge.MaxModel)
	}
	if year := e.ReceivedAt.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("it was received in the year %d", year)
	}
	return nil
}
