package predictions

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// statusAge is how old an unchanged status gets.
const statusAge = time.Minute

// Status returns the status that the leader wrote a few seconds ago, or up to a minute ago
// when nothing has changed. The error wraps [bridge.ErrNotFound] when no process has led
// yet.
func (r *Reader) Status(ctx context.Context) (*adminapi.PredictionsStatus, error) {
	b := bucket{Reader: r}
	var s adminapi.PredictionsStatus
	revision, err := b.load(ctx, keyStatus, &s)
	if err == nil && revision == 0 {
		err = fmt.Errorf("reading the status of the prediction store: %w", bridge.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// lookAround checks the durable and the prediction store, and writes the status when it has
// changed. Failed checks and writes are tried again the next time.
func (t *leadership) lookAround(ctx context.Context, durable jetstream.Consumer, told *adminapi.PredictionsStatus) error {
	ctx, cancel := context.WithTimeout(ctx, t.times.renew)
	defer cancel()
	if err := t.checkMeta(ctx); errors.Is(err, errStoreGone) {
		return err
	}
	at := time.Since(t.started)
	// A durable that was made anew under the same name is fine.
	info, err := durable.Info(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("the durable of the prediction store was removed: %w", err)
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
	if t.UpToDate() { // before that, overdue predictions may have ended
		t.poller.TellUnpolled(status.Sources)
	}
	revision, err := t.bucket.put(ctx, keyStatus, status, t.statusRevision)
	if errors.Is(err, poller.ErrNotLeader) {
		return t.statusRefused(ctx, err)
	}
	if err == nil {
		t.statusRevision, *told = revision, status
	}
	return nil
}

// statusRefused is called when the status is not the one that this leadership wrote last.
// It returns refused when another process leads. Otherwise it returns nil and the status is
// written again the next time: an earlier answer was lost, or a former leader wrote the
// status.
func (t *leadership) statusRefused(ctx context.Context, refused error) error {
	var now adminapi.PredictionsStatus
	revision, err := t.bucket.load(ctx, keyStatus, &now)
	if err != nil {
		return nil //nolint:nilerr // the next look asks again
	}
	// The lease is read after the status, so that a new leader is seen.
	var leads leaseRecord
	if _, err := t.bucket.load(ctx, keyLeader, &leads); err != nil {
		return nil //nolint:nilerr // the next look asks again
	}
	if leads.Holder != t.lease.holder {
		return refused
	}
	t.statusRevision = revision
	return nil
}

// checkMoves returns an error when events have waited for long and none was folded.
func (t *leadership) checkMoves(behind uint64, now time.Time) error {
	if folded := t.foldedTo.Load(); behind == 0 || folded != t.movedTo || t.movedAt.IsZero() {
		t.movedTo, t.movedAt = folded, now
		return nil
	}
	if still := now.Sub(t.movedAt); still > t.times.stuck {
		return fmt.Errorf("no event was folded for %v, and %d wait", still.Round(time.Second), behind)
	}
	return nil
}

func (t *leadership) status(ctx context.Context, now time.Time) (adminapi.PredictionsStatus, error) {
	last := t.last.Load() // read before the stream's last sequence
	stream, err := t.js.Stream(ctx, t.names.EventsStream())
	if err != nil {
		return adminapi.PredictionsStatus{}, fmt.Errorf("looking at the stream of events: %w", err)
	}
	s := adminapi.PredictionsStatus{
		Leader: t.cfg.Process, UpdatedAt: now.UTC(), Folded: last.sequence, FoldedAt: last.storedAt, Last: stream.CachedInfo().State.LastSeq,
		Behind: t.behind.Load(), Rebuilding: t.rebuilding.Load(), Sources: t.poller.Status(now),
	}
	most := len(s.Sources) + adminapi.MaxStatusSources
	for name, list := range t.Queues() {
		source := s.Sources[name]
		if source.Open, source.Overdue, source.Oldest = list.Counts(now); t.configured(name) || source.Open > 0 && len(s.Sources) < most {
			s.Sources[name] = source
		}
	}
	return s, nil
}

func (l *Leader) configured(source string) bool {
	_, ok := l.cfg.Sources[source]
	return ok
}

// currentFor is for how many renewals of the lease the prediction store counts as up to
// date after it was seen to be so, unless more than a block of events has come since:
// delayed webhooks come all at once.
const currentFor = 3

// UpToDate implements [poller.Leadership].
func (t *leadership) UpToDate() bool {
	at := t.current.Load()
	return !t.rebuilding.Load() && at > 0 && time.Since(t.started)-time.Duration(at) < currentFor*t.times.renew &&
		t.behind.Load() <= blockMessages
}
