package predictions

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// statusAge is how old a status gets that has not changed.
const statusAge = time.Minute

// Status returns how the ledger stands, as its leader wrote it a few seconds ago, or up
// to a minute ago when nothing has changed. The error wraps [bridge.ErrNotFound] when
// nobody has led it yet.
func (r *Reader) Status(ctx context.Context) (*adminapi.PredictionsStatus, error) {
	b := bucket{Reader: r}
	var s adminapi.PredictionsStatus
	revision, err := b.load(ctx, keyStatus, &s)
	if err == nil && revision == 0 {
		err = fmt.Errorf("reading the status of the ledger: %w", bridge.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// lookAround asks the server where the durable stands and whether the ledger is still
// the same, and writes the status when that has changed. What cannot be found out or
// written is tried again the next time.
func (t *term) lookAround(ctx context.Context, durable jetstream.Consumer, told *adminapi.PredictionsStatus) error {
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
	behind := info.NumPending + uint64(info.NumAckPending)
	t.behind.Store(behind)
	if behind == 0 {
		t.current.Store(int64(at))
	}
	now := time.Now()
	if err := t.checkMoves(behind, now); err != nil {
		return err
	}
	status, err := t.status(ctx, now)
	if err != nil {
		return nil
	}
	if status.Last < status.Folded {
		return errEventsLost
	}
	had := *told
	had.UpdatedAt = status.UpdatedAt
	if reflect.DeepEqual(had, status) && now.Sub(told.UpdatedAt) < statusAge {
		return nil
	}
	if t.upToDate() { // before that, what seems overdue may have ended
		t.reconciler.tellUnasked(status.Sources)
	}
	revision, err := t.bucket.put(ctx, keyStatus, status, t.statusRevision)
	if errors.Is(err, errTermOver) {
		return t.statusRefused(ctx, err)
	}
	if err == nil {
		t.statusRevision, *told = revision, status
	}
	return nil
}

// statusRefused is called when the status is not the one that this term wrote last. It
// returns refused when another process leads. Otherwise the status is written again the
// next time, and statusRefused returns nil: the answer to an earlier write was lost, or a
// process wrote it that led before.
func (t *term) statusRefused(ctx context.Context, refused error) error {
	var now adminapi.PredictionsStatus
	revision, err := t.bucket.load(ctx, keyStatus, &now)
	if err != nil {
		return nil //nolint:nilerr // the next look asks again
	}
	// After the status, so that a process that took the lead meanwhile is seen.
	var leads leaseRecord
	if _, err := t.bucket.load(ctx, keyLeader, &leads); err != nil {
		return nil //nolint:nilerr // the next look asks again
	}
	if leads.Term != t.lease.term {
		return refused
	}
	t.statusRevision = revision
	return nil
}

// checkMoves returns an error when events wait and none has been folded for long.
func (t *term) checkMoves(behind uint64, now time.Time) error {
	if folded := t.foldedTo.Load(); behind == 0 || folded != t.movedTo || t.movedAt.IsZero() {
		t.movedTo, t.movedAt = folded, now
		return nil
	}
	if still := now.Sub(t.movedAt); still > t.times.stuck {
		return fmt.Errorf("no event was folded for %v, and %d wait", still.Round(time.Second), behind)
	}
	return nil
}

func (t *term) status(ctx context.Context, now time.Time) (adminapi.PredictionsStatus, error) {
	last := t.last.Load() // before that of the stream
	stream, err := t.js.Stream(ctx, t.names.EventsStream())
	if err != nil {
		return adminapi.PredictionsStatus{}, fmt.Errorf("looking at the stream of events: %w", err)
	}
	s := adminapi.PredictionsStatus{
		Leader: t.cfg.Process, UpdatedAt: now.UTC(), Folded: last.sequence, FoldedAt: last.storedAt, Last: stream.CachedInfo().State.LastSeq,
		Behind: t.behind.Load(), Rebuilding: t.rebuilding.Load(), Sources: t.reconciler.status(now),
	}
	most := len(s.Sources) + adminapi.MaxStatusSources
	for name, list := range t.lists() {
		source := s.Sources[name]
		if source.Open, source.Overdue, source.Oldest = list.counts(now); t.configured(name) || source.Open > 0 && len(s.Sources) < most {
			s.Sources[name] = source
		}
	}
	return s, nil
}

func (l *Ledger) configured(source string) bool {
	_, ok := l.cfg.Sources[source]
	return ok
}
