package consumers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxAttempts is how many attempts a record keeps: the first one, and the
	// last ones. Their number is counted beyond it.
	maxAttempts = 16
	// maxError bounds what is kept of an error, in bytes.
	maxError = 1 << 10
	// forgetMarker is how long the mark of a removed record stays.
	forgetMarker = time.Minute
)

// record is what is remembered of an event that has failed and is not finished.
type record struct {
	Event    string          `json:"event"`
	Failures int             `json:"failures"`
	First    time.Time       `json:"first"`
	Attempts []failedAttempt `json:"attempts"`
}

type failedAttempt struct {
	At time.Time `json:"at"`
	// Took is in milliseconds.
	Took  int64  `json:"took_ms"`
	Error string `json:"error"`
	Note  string `json:"note,omitempty"`
}

// with returns the record with one more failed attempt.
func (r record) with(event string, a failedAttempt) record {
	if r.Failures == 0 {
		r.First = a.At
	}
	r.Event = event
	r.Failures++
	attempts := append(append([]failedAttempt(nil), r.Attempts...), a)
	if len(attempts) > maxAttempts {
		attempts = append(attempts[:1], attempts[2:]...)
	}
	r.Attempts = attempts
	return r
}

// ledger keeps the records of one consumer in a bucket that all its processes
// share. Only failures are written, so a healthy consumer never touches it.
type ledger struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	names  bridge.Names
	prefix string
	// keep is how long a record of an event stays that is not heard of again.
	keep time.Duration
}

func openLedger(ctx context.Context, js jetstream.JetStream, n bridge.Names, consumer string, giveUp time.Duration) (*ledger, error) {
	bucket, err := js.KeyValue(ctx, n.LedgerBucket())
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", n.LedgerBucket(), err)
	}
	return &ledger{js: js, bucket: bucket, names: n, prefix: n.LedgerPrefix(consumer), keep: giveUp + 24*time.Hour}, nil
}

func (l *ledger) key(event string) string {
	sum := sha256.Sum256([]byte(event))
	return l.prefix + hex.EncodeToString(sum[:16])
}

// load returns the record of an event, a zero one when there is none.
func (l *ledger) load(ctx context.Context, event string) (record, error) {
	entry, err := l.bucket.Get(ctx, l.key(event))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	var r record
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return record{}, fmt.Errorf("reading the record of earlier attempts: %w", err)
	}
	return r, nil
}

// store writes the record.
func (l *ledger) store(ctx context.Context, event string, r record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("recording an attempt: %w", err)
	}
	if err := l.put(ctx, &nats.Msg{Subject: l.subject(event), Data: value}, l.keep); err != nil {
		return fmt.Errorf("recording an attempt: %w", err)
	}
	return nil
}

// forget removes the record: the mark of a removed key takes its place, for a
// while.
func (l *ledger) forget(ctx context.Context, event string) error {
	mark := &nats.Msg{Subject: l.subject(event), Header: nats.Header{"KV-Operation": {"DEL"}}}
	if err := l.put(ctx, mark, forgetMarker); err != nil {
		return fmt.Errorf("removing the record of earlier attempts: %w", err)
	}
	return nil
}

// put publishes by hand: the bucket's own Put and Delete cannot give an entry a
// time to live, and its Purge needs rollups, which the stream does not allow.
func (l *ledger) put(ctx context.Context, msg *nats.Msg, keep time.Duration) error {
	_, err := l.js.PublishMsg(ctx, msg, jetstream.WithMsgTTL(keep))
	return err
}

func (l *ledger) subject(event string) string { return l.names.LedgerSubject(l.key(event)) }
