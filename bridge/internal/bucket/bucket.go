// Package bucket reads and writes the bucket of what processes share, see
// [bridge.Names.PollsBucket]. Each write names the revision that it replaces, which the server
// compares: so a process that others believe dead overwrites nothing. Messages therefore need no
// id, which the server would have to remember.
package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

var (
	// ErrChanged is wrapped when the key has another revision than the one to replace.
	ErrChanged = errors.New("the key was changed by another process")
	// ErrUnreadable is wrapped when the value of a key is not JSON of the wanted type.
	ErrUnreadable = errors.New("the value cannot be read")
)

// Store makes a message durable, as package stream does.
type Store interface {
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// Bucket is safe for concurrent use. It must not be copied.
type Bucket struct {
	JS    jetstream.JetStream
	Names bridge.Names
	// Store writes; without writes it may be nil.
	Store Store
	// MakeRoom is called when the bucket is full, before one more try; nil is no further try.
	MakeRoom func(context.Context) error

	stream streamread.Handle
}

// Put writes the value as JSON over the revision, 0 for none, and returns its own. After ttl,
// unless it is zero, the server removes the key. The error wraps [ErrChanged] when the revision
// is not the last one; after any other error the value may have been written.
func (b *Bucket) Put(ctx context.Context, key string, value any, revision uint64, ttl time.Duration) (uint64, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", key, err)
	}
	receipt, err := b.write(ctx, key, raw, revision, ttl)
	if errors.Is(err, bridge.ErrFull) && b.MakeRoom != nil {
		if err := b.MakeRoom(ctx); err != nil {
			return 0, fmt.Errorf("writing %s: %w", key, err)
		}
		receipt, err = b.write(ctx, key, raw, revision, ttl)
	}
	if natserr.IsWrongLastSequence(err) {
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", key, err)
	}
	return receipt.Sequence, nil
}

func (b *Bucket) write(ctx context.Context, key string, raw []byte, revision uint64, ttl time.Duration) (bridge.Receipt, error) {
	m := &nats.Msg{
		Subject: b.Names.PollsSubject(key), Data: raw,
		Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}},
	}
	if ttl > 0 {
		// The server counts whole seconds, at least one.
		m.Header[jetstream.MsgTTLHeader] = []string{strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10) + "s"}
	}
	return b.Store.Store(ctx, b.Names.PollsStream(), m)
}

// Load reads the JSON of a key into a T and returns its revision, 0 with the zero value when
// there is none. An error that wraps [ErrUnreadable] comes with the revision too.
func Load[T any](ctx context.Context, b *Bucket, key string) (value T, revision uint64, err error) {
	stream, err := b.open(ctx)
	if err != nil {
		return value, 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, b.Names.PollsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return value, 0, nil
	}
	if err != nil {
		return value, 0, fmt.Errorf("reading %s: %w", key, err)
	}
	var read T
	if err := json.Unmarshal(m.Data, &read); err != nil {
		return value, m.Sequence, fmt.Errorf("reading %s: %w: %w", key, ErrUnreadable, err)
	}
	return read, m.Sequence, nil
}

// Remove removes the value of a revision if it is there.
func (b *Bucket) Remove(ctx context.Context, revision uint64) error {
	stream, err := b.open(ctx)
	if err != nil {
		return err
	}
	if err := streamread.Remove(ctx, stream, revision); err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return err
	}
	return nil
}

// Walk visits the keys that match the pattern, the last written one last.
func (b *Bucket) Walk(ctx context.Context, pattern string, visit func(*jetstream.RawStreamMsg) error) error {
	stream, err := streamread.Open(ctx, b.JS, b.Names.PollsStream())
	if err != nil {
		return err
	}
	return streamread.Walk(ctx, stream, streamread.Span{Subject: b.Names.PollsSubject(pattern)}, visit)
}

// Keys returns the keys that match the pattern, in no order. It costs one request, and is for
// patterns that match few.
func (b *Bucket) Keys(ctx context.Context, pattern string) ([]string, error) {
	stream, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.Names.PollsSubject(pattern)))
	if err != nil {
		return nil, fmt.Errorf("listing the keys %s: %w", pattern, err)
	}
	keys := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, b.Names.PollsSubject("")))
	}
	return keys, nil
}

func (b *Bucket) open(ctx context.Context) (*streamread.Stream, error) {
	return b.stream.Open(ctx, b.JS, b.Names.PollsStream())
}
