package predictions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// storeFormat is the format of entries. A store of a newer format is left alone, one of an
// older format is folded anew.
const storeFormat = 1

// storeMeta says which events a prediction store was made of. A store without it, or of
// other events, is not whole and is folded anew.
type storeMeta struct {
	Format int       `json:"format"`
	ID     string    `json:"id"`
	MadeAt time.Time `json:"made_at"`
	// Events is when the stream of events was created.
	Events time.Time `json:"events"`
	// Rebuilding: the store does not have every event that existed when it was made.
	Rebuilding bool `json:"rebuilding,omitempty"`
}

// errStoreGone ends a leadership; the next one makes the prediction store anew.
var errStoreGone = errors.New("the prediction store was removed, or is to be rebuilt")

// Rebuild removes the prediction store except the polls that were made. The leader folds it
// anew within seconds, from the first event that is still stored; see [Reader.Status].
// Overdue predictions are not polled until that is done.
func Rebuild(ctx context.Context, js jetstream.JetStream, names bridge.Names) error {
	stream, err := streamread.Open(ctx, js, names.PredictionsStream())
	if err != nil {
		return fmt.Errorf("rebuilding the prediction store: %w", err)
	}
	// The meta goes first, so that the leader makes everything anew.
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(names.PredictionsSubject(keyMeta))); err != nil {
		return fmt.Errorf("rebuilding the prediction store: %w", err)
	}
	return purgeEntries(ctx, stream, names)
}

// purgeEntries removes the entries up to the stream's last sequence at the look. A late
// purge spares those of a newer prediction store.
func purgeEntries(ctx context.Context, stream jetstream.Stream, names bridge.Names) error {
	err := stream.Purge(ctx, jetstream.WithPurgeSubject(names.PredictionsSubject(bridge.KeyEntry+".>")),
		jetstream.WithPurgeSequence(stream.CachedInfo().State.LastSeq+1))
	if err != nil {
		return fmt.Errorf("removing the entries of the prediction store: %w", err)
	}
	return nil
}

// begin returns the durable at the first event that may not be in the prediction store. It
// makes a store that is not whole anew first.
func (t *leadership) begin(ctx context.Context) (jetstream.Consumer, error) {
	events, err := streamread.Open(ctx, t.js, t.names.EventsStream())
	if err != nil {
		return nil, err
	}
	created := events.CachedInfo().Created.UTC()
	t.goal = events.CachedInfo().State.LastSeq
	c, err := t.bind(ctx)
	if err != nil {
		return nil, err
	}
	if t.metaRevision, err = t.bucket.load(ctx, keyMeta, &t.meta); err != nil {
		return nil, err
	}
	if t.meta.Format > storeFormat {
		return nil, fmt.Errorf("the prediction store has format %d, this program knows up to %d: use the newer Hookspan that made it", t.meta.Format, storeFormat)
	}
	if t.meta.Format < storeFormat || !t.meta.Events.Equal(created) {
		return t.makeAnew(ctx, created)
	}
	var told adminapi.PredictionsStatus
	if t.statusRevision, err = t.bucket.load(ctx, keyStatus, &told); err != nil {
		return nil, err
	}
	acknowledged := c.CachedInfo().AckFloor.Stream
	if same, err := sameEvents(ctx, events, max(acknowledged, told.Folded), place{told.Folded, told.FoldedAt}); err != nil {
		return nil, err
	} else if !same {
		t.log.Warn("the stream of events has lost its newest events, so the prediction store knows of events that there are not")
		return t.makeAnew(ctx, created)
	}
	// A restored bucket may hold less than the durable has acknowledged, and a new store
	// still has the status of the old one.
	t.folded = place{told.Folded, told.FoldedAt}
	if acknowledged < told.Folded {
		t.folded = place{sequence: acknowledged}
	}
	return t.rewind(ctx, t.folded.sequence+1)
}

// errEventsLost ends a leadership; the next one makes the prediction store anew.
var errEventsLost = errors.New("the stream of events has lost its newest events")

// sameEvents reports whether the stream has, or had, an event of that number, and the event
// at the place as far as it still exists. A stream that lost its newest events reuses their
// numbers.
func sameEvents(ctx context.Context, events jetstream.Stream, number uint64, at place) (bool, error) {
	if number > events.CachedInfo().State.LastSeq {
		return false, nil
	}
	if at.storedAt.IsZero() {
		return true, nil
	}
	m, err := streamread.Get(ctx, events, at.sequence)
	if errors.Is(err, bridge.ErrNotFound) {
		return true, nil
	}
	return err == nil && m.Time.Equal(at.storedAt), err
}

func (t *leadership) makeAnew(ctx context.Context, events time.Time) (jetstream.Consumer, error) {
	t.log.Info("there is no prediction store of these events yet, or it is to be rebuilt: it is folded from the first event on")
	bucket, err := streamread.Open(ctx, t.js, t.names.PredictionsStream())
	if err != nil {
		return nil, err
	}
	// The meta that was read may be old: of a leader that lost the lease, or of a lagging
	// server. Then this write is refused and nothing is removed. After a crash from here on
	// everything is done again.
	if t.metaRevision, err = t.bucket.put(ctx, keyMeta, storeMeta{}, t.metaRevision); err != nil {
		return nil, err
	}
	if err := purgeEntries(ctx, bucket, t.names); err != nil {
		return nil, err
	}
	if t.statusRevision, err = t.bucket.load(ctx, keyStatus, &adminapi.PredictionsStatus{}); err != nil {
		return nil, err
	}
	c, err := t.rewind(ctx, 1)
	if err != nil {
		return nil, err
	}
	t.meta = storeMeta{Format: storeFormat, ID: rand.Text(), MadeAt: time.Now().UTC(), Events: events, Rebuilding: true}
	t.metaRevision, err = t.bucket.put(ctx, keyMeta, t.meta, t.metaRevision)
	return c, err
}

// made records that the prediction store is whole.
func (t *leadership) made(ctx context.Context) error {
	meta := t.meta
	meta.Rebuilding = false
	revision, err := t.bucket.put(ctx, keyMeta, meta, t.metaRevision)
	if err == nil {
		t.metaRevision = revision
	}
	return err
}

// checkMeta returns errStoreGone when the prediction store is not this leadership's any
// more.
func (t *leadership) checkMeta(ctx context.Context) error {
	var have storeMeta
	revision, err := t.bucket.load(ctx, keyMeta, &have)
	if err == nil && (revision == 0 || have.ID != t.meta.ID) {
		return errStoreGone
	}
	return err
}
