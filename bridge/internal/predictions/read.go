package predictions

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
)

// readers is how many entries are asked for at the same time.
const readers = 64

// read is an event that could be read.
type read struct {
	*bridge.Event

	key string
	at  At
}

// events is a block of them. Last is there also when none could be read.
type events struct {
	reads []read
	last  delivered
}

// read reads events, and brings their entries into memory, while those before them are
// being folded, until ctx ends or something fails.
func (t *term) read(ctx context.Context, feed *feed, blocks chan<- events) error {
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

func (t *term) readBlock(ctx context.Context, feed *feed) (events, error) {
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

// fold folds what was read until ctx ends, or something fails.
func (t *term) fold(ctx context.Context, blocks <-chan events) error {
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

// decode returns false for what is no event: it is left out.
func (t *term) decode(m delivered) (read, bool) {
	e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	if err == nil {
		err = bridge.CheckName("source", e.Source)
	}
	if err == nil {
		err = checkEvent(e)
	}
	if err != nil {
		t.log.Error("something in the stream of events is no event, and is left out of the ledger of predictions",
			zap.Uint64("sequence", m.meta.Sequence.Stream), zap.String("subject", m.Subject()), zap.Error(err))
		return read{}, false
	}
	at := At{Sequence: m.meta.Sequence.Stream, StoredAt: m.meta.Timestamp.UTC(), Again: t.names.IsAgain(m.Subject())}
	if again, err := bridge.DecodeAgain(bridge.Header(m.Headers())); err == nil && at.Again {
		at.Original = again.Sequence
	}
	return read{Event: e, key: bridge.PredictionKey(bridge.KeyEntry, e.Source, e.PredictionID), at: at}, true
}

// maxEventText bounds the id, the status and the origin of an event, in bytes. Those
// that a bridge makes are a part of that.
const maxEventText = 1 << 10

// checkEvent returns an error for what no bridge publishes, and no ledger could hold.
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

// fetch brings the entries of the events into memory. Those that are being written now
// are there already.
func (t *term) fetch(ctx context.Context, reads []read) error {
	asked := make(map[string]bool, len(reads))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, r := range reads {
		if _, known := t.entries.Get(r.key); known || asked[r.key] {
			continue
		}
		asked[r.key] = true
		group.Go(func() error {
			_, err := t.entry(ctx, r.key)
			return err
		})
	}
	return group.Wait()
}

// entry returns the entry of a key, from memory if it is there.
func (t *term) entry(ctx context.Context, key string) (*entry, error) {
	if e, ok := t.entries.Get(key); ok {
		return e, nil
	}
	e := &entry{key: key}
	raw, revision, err := t.bucket.get(ctx, key)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("reading an entry of the ledger: %w", err)
	default:
		s, err := decodeState(raw)
		if err != nil {
			t.log.Error("an entry of the ledger cannot be read, and is written anew from what comes", zap.String("key", key), zap.Error(err))
			s = &bridge.PredictionState{}
		}
		e.state, e.revision = *s, revision
	}
	t.entries.Add(key, e)
	return e, nil
}
