package predictions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// statusAge is how old a status gets that has not changed.
const statusAge = time.Minute

// Status returns how the ledger stands, as its leader wrote it a few seconds ago, or up
// to a minute ago when nothing has changed. The error wraps [bridge.ErrNoEntry] when
// nobody has led it yet.
func (r *Reader) Status(ctx context.Context) (*bridge.LedgerStatus, error) {
	b := bucket{Reader: r}
	var s bridge.LedgerStatus
	revision, err := b.load(ctx, keyStatus, &s)
	if err == nil && revision == 0 {
		err = fmt.Errorf("reading the status of the ledger: %w", bridge.ErrNoEntry)
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// lookAround asks the server where the durable stands and whether the ledger is still
// the same, and writes the status when that has changed. What cannot be found out or
// written is tried again the next time.
func (t *term) lookAround(ctx context.Context, durable jetstream.Consumer, told *bridge.LedgerStatus) error {
	ctx, cancel := context.WithTimeout(ctx, t.times.renew)
	defer cancel()
	if err := t.checkMeta(ctx); errors.Is(err, errLedgerGone) {
		return err
	}
	at := time.Since(t.started)
	// Of this consumer alone, so that one that was made anew is no surprise.
	info, err := durable.Info(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("the durable of the ledger was removed: %w", err)
	}
	if err != nil {
		return nil
	}
	if info.NumPending == 0 && info.NumAckPending == 0 {
		t.behind.Store(0)
		t.current.Store(int64(at))
	}
	now := time.Now()
	status, err := t.status(ctx, now)
	if err != nil {
		return nil
	}
	had := *told
	had.UpdatedAt = status.UpdatedAt
	if reflect.DeepEqual(had, status) && now.Sub(told.UpdatedAt) < statusAge {
		return nil
	}
	t.reconciler.tellUnasked(status.Sources)
	revision, err := t.bucket.put(ctx, keyStatus, status, t.statusRevision)
	if errors.Is(err, errTermOver) {
		return err
	}
	if err == nil {
		t.statusRevision, *told = revision, status
	}
	return nil
}

func (t *term) status(ctx context.Context, now time.Time) (bridge.LedgerStatus, error) {
	stream, err := t.js.Stream(ctx, t.names.EventsStream())
	if err != nil {
		return bridge.LedgerStatus{}, fmt.Errorf("looking at the stream of events: %w", err)
	}
	s := bridge.LedgerStatus{
		Leader: t.cfg.Process, UpdatedAt: now.UTC(), Folded: t.foldedTo.Load(), Last: stream.CachedInfo().State.LastSeq,
		Behind: t.behind.Load(), Rebuilding: t.rebuilding.Load(), Sources: map[string]bridge.SourceStatus{},
	}
	maps.Copy(s.Sources, t.reconciler.status(now))
	for name, list := range t.lists() {
		source := s.Sources[name]
		source.Open, source.Overdue, source.Oldest = list.counts(now)
		s.Sources[name] = source
	}
	return s, nil
}
