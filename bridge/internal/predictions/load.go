package predictions

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// warmEntries is of how many finished predictions a new leader learns how long
	// they take. They are looked for among the last warmSpan changes.
	warmEntries = 5000
	warmSpan    = 4 * warmEntries
)

// warmUp tells the reconciler of the predictions that finished last.
func (t *term) warmUp(ctx context.Context) error {
	stream, err := t.js.Stream(ctx, t.names.PredictionsStream())
	if err != nil {
		return err
	}
	from, seen := uint64(1), 0
	if last := stream.CachedInfo().State.LastSeq; last > warmSpan {
		from = last - warmSpan
	}
	return t.bucket.scan(ctx, bridge.KeyEntry+".>", from, func(v value) error {
		if seen++; seen > warmEntries {
			return errEnough
		}
		if s, err := decodeState(v.data); err == nil && s.Terminal() {
			t.reconciler.ended(s, nil, false)
		}
		return nil
	})
}

// loadOpen reads what is open, and returns how many predictions that are.
func (t *term) loadOpen(ctx context.Context) (int, error) {
	n := 0
	err := t.bucket.scan(ctx, bridge.KeyOpen+".>", 1, func(v value) error {
		var rec openRecord
		if len(v.data) == 0 { // it has its end, and the record is on its way out
			t.stone(v.key)
			return nil
		}
		err := json.Unmarshal(v.data, &rec)
		if err != nil || v.key != bridge.PredictionKey(bridge.KeyOpen, rec.Source, rec.ID) {
			t.log.Error("an open prediction cannot be read, and is left alone until one of its events comes", zap.String("key", v.key), zap.Error(err))
			t.stone(v.key)
			return nil
		}
		n++
		t.list(rec.Source).set(item{openRecord: rec, revision: v.revision, due: t.reconciler.due(rec)})
		return nil
	})
	return n, err
}

// maxGone bounds what gone remembers; it is about 50 MB.
const maxGone = 1 << 20

// gone knows, while old events are folded, of predictions that ended so long ago that
// the ledger has no entry of them any more, until when it had: what was told of them
// up to then is gone too. Of too many it knows those that it heard of last.
type gone struct {
	seed   maphash.Seed
	most   int
	at     map[uint64]time.Time
	before map[uint64]time.Time // it is full
}

func newGone() *gone {
	return &gone{seed: maphash.MakeSeed(), most: maxGone / 2, at: map[uint64]time.Time{}}
}

func (g *gone) add(key string, until time.Time) {
	if len(g.at) >= g.most {
		g.at, g.before = map[uint64]time.Time{}, g.at
	}
	g.at[maphash.String(g.seed, key)] = until
}

func (g *gone) has(key string, at time.Time) bool {
	sum := maphash.String(g.seed, key)
	until, ok := g.at[sum]
	if !ok {
		until, ok = g.before[sum]
	}
	return ok && !at.After(until)
}
