package predictions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	shared "github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// keyLeader is the key of the [leaseRecord].
const keyLeader = "leader"

// pollLife is how long the record of a poll stays, beyond the longest time between two polls
// and an outage of some days. A prediction's record usually goes when the prediction ends.
const pollLife = 7 * 24 * time.Hour

// bucket is the shared bucket as the polling uses it.
type bucket struct {
	shared.Bucket

	alarms bridge.Alarmer
	log    *zap.Logger

	// roomAge is shorter in tests.
	roomAge time.Duration
}

func newBucket(js jetstream.JetStream, names bridge.Names, store poller.Store, alarms bridge.Alarmer, log *zap.Logger) *bucket {
	b := &bucket{alarms: alarms, log: log}
	b.JS, b.Names, b.Store, b.MakeRoom = js, names, store, b.makeRoom
	return b
}

// put is [shared.Bucket.Put]. The error wraps [poller.ErrNotLeader] when the revision is not the
// last one.
func (b *bucket) put(ctx context.Context, key string, value any, revision uint64, ttl time.Duration) (uint64, error) {
	at, err := b.Put(ctx, key, value, revision, ttl)
	if errors.Is(err, shared.ErrChanged) {
		err = fmt.Errorf("%w: %w", poller.ErrNotLeader, err)
	}
	return at, err
}

// load is [shared.Load], except that a value that cannot be read counts as empty, and is written
// anew.
func load[T any](ctx context.Context, b *bucket, key string) (T, uint64, error) {
	value, revision, err := shared.Load[T](ctx, &b.Bucket, key)
	if errors.Is(err, shared.ErrUnreadable) {
		b.log.Error("a key of the bucket of polls cannot be read, and counts as empty", zap.String("key", key), zap.Error(err))
		err = nil
	}
	return value, revision, err
}

// remove removes a key if it is there.
func (b *bucket) remove(ctx context.Context, key string) error {
	_, revision, err := load[json.RawMessage](ctx, b, key)
	if err != nil || revision == 0 {
		return err
	}
	return b.Remove(ctx, revision)
}

// Room is made of records of polls that are older than roomAge, roomRecords at a time. What
// they count begins anew, and no prediction is polled too early by that: the next poll was due
// within an hour.
const (
	defaultRoomAge = 2 * time.Hour
	roomRecords    = 100
)

var errEnough = errors.New("enough")

// makeRoom removes the oldest records of polls. The error wraps [bridge.ErrFull] when there
// are none.
func (b *bucket) makeRoom(ctx context.Context) error {
	b.alarms.Raise(lasting.Again(bridge.Alarm{
		Kind: bridge.AlarmPollsFull, Subject: b.Names.PollsStream(),
		Text: "the bucket of polls has no room: the oldest records of polls leave it, so predictions are polled for longer before they are given up, " +
			"and submissions with an idempotency key are refused: give it room with a larger nats.events.max_bytes, of which it has a share",
	}, "the bucket of polls had room"))
	removed := 0
	err := b.Walk(ctx, bridge.KeyPoll+".>", func(m *jetstream.RawStreamMsg) error {
		if time.Since(m.Time) < cmp.Or(b.roomAge, defaultRoomAge) || removed == roomRecords {
			return errEnough
		}
		removed++
		return b.Remove(ctx, m.Sequence)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if removed == 0 {
		return fmt.Errorf("%w: the bucket of polls holds nothing that may leave it", bridge.ErrFull)
	}
	b.log.Warn("removed the oldest records of polls from their bucket, which is full", zap.Int("records", removed))
	return nil
}
