package submit

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
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

// States of a record.
const (
	stateStarted  = "started"  // it is being sent, or its process has died
	stateUnknown  = "unknown"  // it was sent, and its outcome is unknown
	stateAccepted = "accepted" // the provider has accepted it, and it is not announced
	stateDone     = "done"     // the provider has accepted it, and it is announced
)

// maxRecordedAnswer bounds an answer that is recorded for repeats, in bytes.
const maxRecordedAnswer = 256 << 10

// record is the stored outcome of a submission with an idempotency key.
type record struct {
	State string `json:"state"`
	// Digest is of the submission: the key is for that one alone.
	Digest string `json:"digest"`
	// At and Process say when and by whom it was begun. Claim tells it from any other try
	// to begin.
	At      time.Time         `json:"at"`
	Process string            `json:"process,omitempty"`
	Claim   string            `json:"claim"`
	Done    *bridge.Submitted `json:"done,omitempty"`
}

// records are stored in the bucket of polls.
type records struct {
	js    JetStream
	names bridge.Names

	stream streamread.Handle
}

const opTimeout = 5 * time.Second

// recordKey returns the key of a record. A source has no line break.
func recordKey(source, idempotencyKey string) string {
	sum := sha256.Sum256([]byte(source + "\n" + idempotencyKey))
	return bridge.KeySubmit + "." + hex.EncodeToString(sum[:16])
}

var errTaken = errors.New("there is a record already")

// put writes the record over the revision, 0 for none, and returns the new one. The error
// wraps errTaken when the key has another revision.
func (r *records) put(ctx context.Context, key string, rec record, revision uint64) (uint64, error) {
	if rec.Done != nil && len(rec.Done.Answer) > maxRecordedAnswer {
		short := *rec.Done
		short.Answer, rec.Done = nil, &short
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return 0, fmt.Errorf("writing down a submission: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	ack, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: r.names.PollsSubject(key), Data: value},
		jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithMsgTTL(adminapi.IdempotencyLife))
	if natserr.IsWrongLastSequence(err) {
		err = errTaken
	}
	if err != nil {
		return 0, fmt.Errorf("writing down a submission: %w", err)
	}
	return ack.Sequence, nil
}

// get returns the record of the key and its revision. The error wraps [bridge.ErrNotFound]
// when there is none.
func (r *records) get(ctx context.Context, key string) (rec record, revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	stream, err := r.open(ctx)
	if err != nil {
		return record{}, 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, r.names.PollsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = bridge.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &rec)
	}
	if err != nil {
		return record{}, 0, fmt.Errorf("reading what became of a submission: %w", err)
	}
	return rec, m.Sequence, nil
}

func (r *records) remove(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	stream, err := r.open(ctx)
	if err != nil {
		return err
	}
	return streamread.Remove(ctx, stream, revision)
}

func (r *records) open(ctx context.Context) (*streamread.Stream, error) {
	return r.stream.Open(ctx, r.js, r.names.PollsStream())
}
