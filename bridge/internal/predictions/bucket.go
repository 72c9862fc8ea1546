package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// Keys of the bucket beside entries and open records.
const (
	keyLeader = "leader" // a leaseRecord
	keyMeta   = "meta"   // what the prediction store was made of
	keyStatus = "status" // an adminapi.PredictionsStatus
)

// bucket is where the prediction store lies. Each write names the revision that it
// replaces, which the server compares: so a process that leads no more overwrites nothing.
// Messages therefore need no id, which the server would have to remember.
type bucket struct {
	*Reader

	store  Store
	alarms bridge.Alarmer
	log    *zap.Logger
}

// message returns a write of the key over the revision, 0 for none. After ttl, unless it is
// zero, the server removes the key.
func (b *bucket) message(key string, value []byte, revision uint64, ttl time.Duration) *nats.Msg {
	m := &nats.Msg{
		Subject: b.names.PredictionsSubject(key), Data: value,
		Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}},
	}
	if ttl > 0 {
		// The server counts whole seconds, at least one.
		m.Header[jetstream.MsgTTLHeader] = []string{strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10) + "s"}
	}
	return m
}

// put writes the value as JSON over the revision and returns its own. A full bucket takes
// it too. The error wraps [poller.ErrNotLeader] when the revision is not the last one.
func (b *bucket) put(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("writing %s of the prediction store: %w", key, err)
	}
	receipt, err := b.store.Store(ctx, b.names.PredictionsStream(), b.message(key, raw, revision, 0))
	if errors.Is(err, bridge.ErrFull) {
		if _, _, err := b.makeRoom(ctx, smallestRoom, 0, nil); err != nil {
			return 0, fmt.Errorf("writing %s of the prediction store: %w", key, err)
		}
		receipt, err = b.store.Store(ctx, b.names.PredictionsStream(), b.message(key, raw, revision, 0))
	}
	if err != nil {
		return 0, fmt.Errorf("writing %s of the prediction store: %w", key, over(err))
	}
	return receipt.Sequence, nil
}

// load reads the JSON of a key and returns its revision, 0 when there is none.
func (b *bucket) load(ctx context.Context, key string, value any) (uint64, error) {
	raw, revision, err := b.get(ctx, key)
	if errors.Is(err, bridge.ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, value)
	}
	if err != nil {
		return 0, fmt.Errorf("reading %s of the prediction store: %w", key, err)
	}
	return revision, nil
}

// over makes err wrap poller.ErrNotLeader too when another process has written.
func over(err error) error {
	if natserr.IsWrongLastSequence(err) {
		return fmt.Errorf("%w: %w", poller.ErrNotLeader, err)
	}
	return err
}

// remove removes the value of the revision if it is still there; 0 is none.
func (b *bucket) remove(ctx context.Context, revision uint64) error {
	if revision == 0 {
		return nil
	}
	stream, err := b.open(ctx)
	if err != nil {
		return err
	}
	if err := streamread.Remove(ctx, stream, revision); err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return err
	}
	return nil
}

// removeKey removes every value of the key.
func (b *bucket) removeKey(ctx context.Context, key string) error {
	_, revision, err := b.get(ctx, key)
	if errors.Is(err, bridge.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the prediction store: %w", err)
	}
	return b.remove(ctx, revision)
}
