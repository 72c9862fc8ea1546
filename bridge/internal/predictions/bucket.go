package predictions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

// keyLeader is the key of the [leaseRecord].
const keyLeader = "leader"

// pollLife is how long the record of a poll stays, beyond the longest time between two polls
// and an outage of some days. A prediction's record usually goes when the prediction ends.
const pollLife = 7 * 24 * time.Hour

// bucket is the bucket of polls. Each write names the revision that it replaces, which the
// server compares: so a process that leads no more overwrites nothing. Messages therefore need
// no id, which the server would have to remember.
type bucket struct {
	js     jetstream.JetStream
	names  bridge.Names
	store  poller.Store
	alarms bridge.Alarmer
	log    *zap.Logger

	// roomAge is shorter in tests.
	roomAge time.Duration

	stream streamread.Handle
}

// put writes the value as JSON over the revision, 0 for none, and returns its own. After ttl,
// unless it is zero, the server removes the key. A full bucket takes it too. The error wraps
// [poller.ErrNotLeader] when the revision is not the last one.
func (b *bucket) put(ctx context.Context, key string, value any, revision uint64, ttl time.Duration) (uint64, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("writing %s of the polls: %w", key, err)
	}
	write := func() (bridge.Receipt, error) {
		m := &nats.Msg{
			Subject: b.names.PollsSubject(key), Data: raw,
			Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}},
		}
		if ttl > 0 {
			// The server counts whole seconds, at least one.
			m.Header[jetstream.MsgTTLHeader] = []string{strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10) + "s"}
		}
		return b.store.Store(ctx, b.names.PollsStream(), m)
	}
	receipt, err := write()
	if errors.Is(err, bridge.ErrFull) {
		if err := b.makeRoom(ctx); err != nil {
			return 0, fmt.Errorf("writing %s of the polls: %w", key, err)
		}
		receipt, err = write()
	}
	if natserr.IsWrongLastSequence(err) {
		err = fmt.Errorf("%w: %w", poller.ErrNotLeader, err)
	}
	if err != nil {
		return 0, fmt.Errorf("writing %s of the polls: %w", key, err)
	}
	return receipt.Sequence, nil
}

// load reads the JSON of a key and returns its revision, 0 when there is none. A value that
// cannot be read counts as empty, and is written anew.
func load[T any](ctx context.Context, b *bucket, key string) (value T, revision uint64, err error) {
	stream, err := b.stream.Open(ctx, b.js, b.names.PollsStream())
	if err != nil {
		return value, 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, b.names.PollsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return value, 0, nil
	}
	if err != nil {
		return value, 0, fmt.Errorf("reading %s of the polls: %w", key, err)
	}
	if err := json.Unmarshal(m.Data, &value); err != nil {
		b.log.Error("a key of the bucket of polls cannot be read, and counts as empty", zap.String("key", key), zap.Error(err))
		var empty T
		value = empty
	}
	return value, m.Sequence, nil
}

// remove removes a key if it is there.
func (b *bucket) remove(ctx context.Context, key string) error {
	_, revision, err := load[json.RawMessage](ctx, b, key)
	if err != nil || revision == 0 {
		return err
	}
	return b.removeRevision(ctx, revision)
}

func (b *bucket) removeRevision(ctx context.Context, revision uint64) error {
	stream, err := b.stream.Open(ctx, b.js, b.names.PollsStream())
	if err != nil {
		return err
	}
	if err := streamread.Remove(ctx, stream, revision); err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return err
	}
	return nil
}

// walk visits the keys that match the pattern, the last written one last.
func (b *bucket) walk(ctx context.Context, pattern string, visit func(*jetstream.RawStreamMsg) error) error {
	stream, err := streamread.Open(ctx, b.js, b.names.PollsStream())
	if err != nil {
		return err
	}
	return streamread.Walk(ctx, stream, streamread.Span{Subject: b.names.PollsSubject(pattern)}, visit)
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
	b.alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmPollsFull, Subject: b.names.PollsStream(),
		Text: "the bucket of polls has no room: the oldest records of polls leave it, so predictions are polled for longer before they are given up, " +
			"and submissions with an idempotency key are refused: give it room with a larger nats.events.max_bytes, of which it has a share",
	})
	removed := 0
	err := b.walk(ctx, bridge.KeyPoll+".>", func(m *jetstream.RawStreamMsg) error {
		if time.Since(m.Time) < cmp.Or(b.roomAge, defaultRoomAge) || removed == roomRecords {
			return errEnough
		}
		removed++
		return b.removeRevision(ctx, m.Sequence)
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
