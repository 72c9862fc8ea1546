package predictions

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// currentFor is for how many renewals of the lease a ledger counts as up to date after
// it was seen to be so, unless more than a block of events has come since: webhooks that
// were held up come all at once.
const currentFor = 3

// lists is that of [desk].
func (t *term) lists() map[string]*worklist {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.open)
}

// list returns that of a source, a new one if it had none.
func (t *term) list(source string) *worklist {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[source] == nil {
		t.open[source] = newWorklist()
	}
	return t.open[source]
}

// upToDate is that of [desk].
func (t *term) upToDate() bool {
	at := t.current.Load()
	return !t.rebuilding.Load() && at > 0 && time.Since(t.started)-time.Duration(at) < currentFor*t.times.renew &&
		t.behind.Load() <= blockMessages
}

var errOldRevision = errors.New("the record of the prediction was written meanwhile")

// save is that of [desk].
func (t *term) save(ctx context.Context, rec openRecord, revision uint64) (uint64, error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	list := t.list(rec.Source)
	it, ok := list.get(rec.ID)
	switch {
	case !ok:
		return 0, errNotOpen
	case it.revision != revision:
		return 0, errOldRevision
	}
	raw, err := encodeRecord(rec)
	if err != nil {
		return 0, err
	}
	var made uint64
	err = t.write(ctx, []write{{
		msg:  t.bucket.message(bridge.PredictionKey(bridge.KeyOpen, rec.Source, rec.ID), raw, it.revision, 0),
		done: func(revision uint64) { made = revision },
	}}, nil)
	if err != nil {
		return 0, err
	}
	list.set(item{openRecord: rec, revision: made, due: t.reconciler.due(rec)})
	return made, nil
}
