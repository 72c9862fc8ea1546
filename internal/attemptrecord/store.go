package attemptrecord

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natserr"
)

const (
	// forgetMarker is how long the marker of a removed record stays.
	forgetMarker = time.Minute
	// keepDead is how long the record of a dead event stays, also after it was handled: as long
	// as dead letters.
	keepDead = 90 * 24 * time.Hour
	// keepMore is how much longer than its retries the record of an event stays.
	keepMore = 24 * time.Hour
)

// ErrClaimed is wrapped when another worker has changed the record since it was read.
var ErrClaimed = errors.New("the record was changed by another worker")

// Store has the attempt records of one consumer, in a bucket that all its processes share. A
// consumer that acts once writes two records for each event. Any other consumer writes failures
// only, so a healthy one never touches the bucket.
type Store struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	names  bridge.Names
	prefix string
	// keep is how long an unchanged record stays.
	keep time.Duration

	mu sync.Mutex
	// known are the keys that have a record; nil if unknown.
	known map[string]bool
}

// Open returns the records of a consumer that retries an event for giveUp.
func Open(ctx context.Context, js jetstream.JetStream, n bridge.Names, consumer string, giveUp time.Duration) (*Store, error) {
	bucket, err := js.KeyValue(ctx, n.AttemptsBucket())
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", n.AttemptsBucket(), err)
	}
	return &Store{js: js, bucket: bucket, names: n, prefix: n.AttemptsPrefix(consumer), keep: giveUp + keepMore}, nil
}

// maxKnown is how many records a bucket may have for their keys to be read: the server's limit
// of subjects in one answer.
const maxKnown = 100_000

// Learn reads which keys have a record, unless the bucket has too many.
func (s *Store) Learn(ctx context.Context) error {
	stream, err := s.js.Stream(ctx, s.names.AttemptsStream())
	if err != nil {
		return fmt.Errorf("looking up stream %s: %w", s.names.AttemptsStream(), err)
	}
	if stream.CachedInfo().State.Msgs > maxKnown {
		return nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.subject(">")))
	if err != nil {
		return fmt.Errorf("reading the keys of earlier attempts: %w", err)
	}
	known := make(map[string]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		known[strings.TrimPrefix(subject, s.subject(""))] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
	return nil
}

// Unlearn forgets which keys have a record.
func (s *Store) Unlearn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = nil
}

// MayHold reports whether there may be a record under the key. While the keys are unknown, only
// an old event may have one.
func (s *Store) MayHold(key string, old bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return old
	}
	return s.known[key]
}

// note remembers whether there is a record under the key. Other processes write records too,
// but their events reach this process as redeliveries.
func (s *Store) note(key string, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.known == nil:
	case !there:
		delete(s.known, key)
	case len(s.known) >= maxKnown:
		s.known = nil
	default:
		s.known[key] = true
	}
}

// Load returns the record under the key and its revision; a zero record if there is none.
func (s *Store) Load(ctx context.Context, key string) (r Record, revision uint64, err error) {
	entry, err := s.bucket.Get(ctx, s.prefix+key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Record{}, 0, nil
	}
	if err != nil {
		return Record{}, 0, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return Record{}, 0, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	return r, entry.Revision(), nil
}

// Put writes the record unconditionally.
func (s *Store) Put(ctx context.Context, key string, r Record) error {
	_, err := s.put(ctx, key, r)
	return err
}

// Swap replaces the record of that revision, 0 for none, and returns the new revision. The
// error wraps [ErrClaimed] when the revision is another one.
func (s *Store) Swap(ctx context.Context, key string, r Record, revision uint64) (uint64, error) {
	next, err := s.put(ctx, key, r, jetstream.WithExpectLastSequencePerSubject(revision))
	if natserr.IsWrongLastSequence(err) {
		return 0, fmt.Errorf("%w: %w", ErrClaimed, err)
	}
	return next, err
}

func (s *Store) put(ctx context.Context, key string, r Record, opts ...jetstream.PublishOpt) (uint64, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("recording an attempt: %w", err)
	}
	keep := s.keep
	if r.State == Dead || r.AfterDead {
		keep = max(keep, keepDead)
	}
	s.note(key, true) // after an error it may have been written
	ack, err := s.publish(ctx, &nats.Msg{Subject: s.subject(key), Data: value}, keep, opts...)
	if err != nil {
		return 0, fmt.Errorf("recording an attempt: %w", err)
	}
	return ack.Sequence, nil
}

// Forget removes the record, and leaves a marker for a while.
func (s *Store) Forget(ctx context.Context, key string) error {
	mark := &nats.Msg{Subject: s.subject(key), Header: nats.Header{"KV-Operation": {"DEL"}}}
	if _, err := s.publish(ctx, mark, forgetMarker); err != nil {
		return fmt.Errorf("removing the record of earlier attempts: %w", err)
	}
	s.note(key, false)
	return nil
}

// publish replaces Put, Update and Delete of the bucket, which cannot give an entry a time to
// live, and Purge, which needs rollups that the stream does not allow.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, keep time.Duration, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return s.js.PublishMsg(ctx, msg, append(opts, jetstream.WithMsgTTL(keep))...)
}

func (s *Store) subject(key string) string { return s.names.AttemptsSubject(s.prefix + key) }

// EventKey is the key of the record of one event.
func EventKey(event string) string { return shortHash(event) }

// OnceKey is the key of a consumer that acts once: it is the same for all events with the same
// status of the same prediction. Events of the bridge itself, such as archived outputs, have no
// status that tells them apart.
func OnceKey(ev *bridge.Event) string {
	if ev.Kind() != bridge.KindPrediction {
		return "once." + EventKey(ev.ID)
	}
	return "once." + shortHash(ev.Source+"\x00"+ev.PredictionID+"\x00"+ev.Status)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
