package consumers

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
	// forgetMarker is how long the mark of a removed record stays.
	forgetMarker = time.Minute
	// keepDead is how long it is remembered that an event is a dead letter, and
	// that it was handled after all: as long as dead letters are kept.
	keepDead = 90 * 24 * time.Hour
	// keepMore is how much longer than its retries an event is remembered.
	keepMore = 24 * time.Hour
)

// errClaimed: somebody else has changed the record since it was read.
var errClaimed = errors.New("the record was changed by another worker")

// ledger keeps the records of one consumer in a bucket that all its processes
// share. A consumer that acts once writes two for each event; any other one writes
// only failures, so while it is healthy it never touches it.
type ledger struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	names  bridge.Names
	prefix string
	// keep is how long a record of an event stays that is not heard of again.
	keep time.Duration

	mu sync.Mutex
	// known are the keys that have a record; nil: that is not known.
	known map[string]bool
}

func openLedger(ctx context.Context, js jetstream.JetStream, n bridge.Names, consumer string, giveUp time.Duration) (*ledger, error) {
	bucket, err := js.KeyValue(ctx, n.AttemptsBucket())
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", n.AttemptsBucket(), err)
	}
	return &ledger{js: js, bucket: bucket, names: n, prefix: n.AttemptsPrefix(consumer), keep: giveUp + keepMore}, nil
}

// maxKnown is how many records a bucket may hold until their keys are not read any
// more: the server names so many subjects in one answer.
const maxKnown = 100_000

// learn reads which keys have a record now, unless the bucket holds too many.
func (l *ledger) learn(ctx context.Context) error {
	stream, err := l.js.Stream(ctx, l.names.AttemptsStream())
	if err != nil {
		return fmt.Errorf("looking up stream %s: %w", l.names.AttemptsStream(), err)
	}
	if stream.CachedInfo().State.Msgs > maxKnown {
		return nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(l.subject(">")))
	if err != nil {
		return fmt.Errorf("reading the keys of earlier attempts: %w", err)
	}
	known := make(map[string]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		known[strings.TrimPrefix(subject, l.subject(""))] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = known
	return nil
}

// unlearn forgets which keys have a record.
func (l *ledger) unlearn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = nil
}

// mayHold says whether there may be a record under the key. Where it is not known
// which keys there are, only an event that is old may have one.
func (l *ledger) mayHold(key string, old bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		return old
	}
	return l.known[key]
}

// note keeps what is known true. Others write too, but an event that is with them
// comes to us as one that was delivered before.
func (l *ledger) note(key string, there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.known == nil:
	case !there:
		delete(l.known, key)
	case len(l.known) >= maxKnown:
		l.known = nil
	default:
		l.known[key] = true
	}
}

// load returns the record under the key, a zero one when there is none, and its
// revision.
func (l *ledger) load(ctx context.Context, key string) (r record, revision uint64, err error) {
	entry, err := l.bucket.Get(ctx, l.prefix+key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return record{}, 0, nil
	}
	if err != nil {
		return record{}, 0, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return record{}, 0, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	return r, entry.Revision(), nil
}

// store writes the record, whatever is there.
func (l *ledger) store(ctx context.Context, key string, r record) error {
	_, err := l.put(ctx, key, r)
	return err
}

// swap writes the record in the place of that revision and returns the new one; 0
// is none. The error wraps [errClaimed] when there is another one.
func (l *ledger) swap(ctx context.Context, key string, r record, revision uint64) (uint64, error) {
	next, err := l.put(ctx, key, r, jetstream.WithExpectLastSequencePerSubject(revision))
	if natserr.IsWrongLastSequence(err) {
		return 0, fmt.Errorf("%w: %w", errClaimed, err)
	}
	return next, err
}

func (l *ledger) put(ctx context.Context, key string, r record, opts ...jetstream.PublishOpt) (uint64, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("recording an attempt: %w", err)
	}
	keep := l.keep
	if r.State == stateDead || r.AfterDead {
		keep = max(keep, keepDead)
	}
	l.note(key, true) // an error does not prove that it was not written
	ack, err := l.publish(ctx, &nats.Msg{Subject: l.subject(key), Data: value}, keep, opts...)
	if err != nil {
		return 0, fmt.Errorf("recording an attempt: %w", err)
	}
	return ack.Sequence, nil
}

// forget removes the record: the mark of a removed key takes its place, for a
// while.
func (l *ledger) forget(ctx context.Context, key string) error {
	mark := &nats.Msg{Subject: l.subject(key), Header: nats.Header{"KV-Operation": {"DEL"}}}
	if _, err := l.publish(ctx, mark, forgetMarker); err != nil {
		return fmt.Errorf("removing the record of earlier attempts: %w", err)
	}
	l.note(key, false)
	return nil
}

// publish is by hand: the bucket's own Put, Update and Delete cannot give an entry a
// time to live, and its Purge needs rollups, which the stream does not allow.
func (l *ledger) publish(ctx context.Context, msg *nats.Msg, keep time.Duration, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return l.js.PublishMsg(ctx, msg, append(opts, jetstream.WithMsgTTL(keep))...)
}

func (l *ledger) subject(key string) string { return l.names.AttemptsSubject(l.prefix + key) }

// eventKey is the key of what is remembered of one event.
func eventKey(event string) string { return shortHash(event) }

// onceKey is the key of what a consumer that acts once remembers: of all events that
// say the same status of the same prediction. What the bridge says itself, such as
// that outputs are archived, no status tells apart.
func onceKey(ev *bridge.Event) string {
	if ev.Kind() != bridge.KindPrediction {
		return "once." + eventKey(ev.ID)
	}
	return "once." + shortHash(ev.Source+"\x00"+ev.PredictionID+"\x00"+ev.Status)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
