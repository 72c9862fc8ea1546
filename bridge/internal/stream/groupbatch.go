package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natserr"
)

// Headers of JetStream's atomic batches. The stored messages keep them.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"

	headerExpectedLastID = "Nats-Expected-Last-Msg-Id"
)

// batch is an atomic batch: the server stores all of its messages or none, and acknowledges
// once, when all are on the disk.
type batch struct {
	nc      *nats.Conn
	id      string
	members []*entry
	bytes   int
	ids     map[string]bool
	// sent is how many were published. The last message carries the commit, and is held back
	// until then.
	sent    int
	started time.Time
	// trial: the messages are published as singles, to measure the cost of singles.
	trial bool

	stored  *jetstream.PubAck // of the last message
	err     error
	took    time.Duration
	results []result // of a trial
}

func newBatch(nc *nats.Conn) *batch {
	return &batch{nc: nc, id: rand.Text(), ids: map[string]bool{}, started: time.Now()}
}

// add reports whether e fits; the server would refuse a batch with two equal ids.
func (b *batch) add(e *entry, cfg groupConfig) bool {
	if len(b.members) == cfg.maxBatch || len(b.members) > 0 && b.bytes+e.size > cfg.maxBatchBytes || e.id != "" && b.ids[e.id] {
		return false
	}
	b.members = append(b.members, e)
	b.bytes += e.size
	b.ids[e.id] = true
	return true
}

// publish sends all but the last message. After an error nothing of the batch is stored:
// without its commit the server drops it.
func (b *batch) publish() error {
	for ; b.sent < len(b.members)-1; b.sent++ {
		if err := b.nc.PublishMsg(b.next()); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) next() *nats.Msg {
	m := b.members[b.sent].msg
	m.Header[headerBatchID] = []string{b.id}
	m.Header[headerBatchSequence] = []string{strconv.Itoa(b.sent + 1)}
	return m
}

// commit sends the last message and returns the server's answer. After an error that
// [isRefusal] recognises nothing is stored; after any other the outcome is unknown.
func (b *batch) commit(ctx context.Context) (*jetstream.PubAck, error) {
	if err := b.publish(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	last := b.next()
	last.Header[headerBatchCommit] = []string{"1"}
	answer, err := b.nc.RequestMsgWithContext(ctx, last)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("committing a batch: %w", err)
	}
	ack, err := parseAck(answer)
	if err != nil {
		return nil, err
	}
	if ack.Batch != b.id || ack.Duplicate || ack.Count != len(b.members) || ack.Sequence < uint64(ack.Count) {
		return nil, fmt.Errorf("%w: it is not of this batch: %.200s", jetstream.ErrInvalidJSAck, answer.Data)
	}
	return &ack.PubAck, nil
}

func (b *batch) ack(i int) *jetstream.PubAck {
	ack := *b.stored
	ack.Sequence -= uint64(len(b.members) - 1 - i)
	return &ack
}

// errRefused: the server did not get the whole batch.
var errRefused = errors.New("the batch was not committed")

// isRefusal reports whether err means that nothing of the batch is stored, so that its messages
// may be published one by one. The stream checks all messages before it stores the first, so
// each of its errors means this. If it ever failed in between, the message ids would still
// prevent duplicates.
func isRefusal(err error) bool {
	_, api := errors.AsType[*jetstream.APIError](err)
	return api || errors.Is(err, errRefused)
}

type answerOf struct {
	jetstream.PubAck

	Batch string              `json:"batch"`
	Count int                 `json:"count"`
	Error *jetstream.APIError `json:"error"`
}

func parseAck(m *nats.Msg) (*answerOf, error) {
	a := &answerOf{}
	if err := json.Unmarshal(m.Data, a); err != nil {
		return nil, fmt.Errorf("%w: %w", jetstream.ErrInvalidJSAck, err)
	}
	if a.Error != nil {
		return nil, a.Error
	}
	if a.Stream == "" {
		return nil, jetstream.ErrInvalidJSAck
	}
	return a, nil
}

// copyForBatch copies m, with room in its header for that of a batch: m belongs to the caller
// again after a time-out, while the copy may still be sent.
func copyForBatch(m *nats.Msg) *nats.Msg {
	m = withBatchHeader(m)
	m.Data = append([]byte(nil), m.Data...)
	return m
}

func withBatchHeader(m *nats.Msg) *nats.Msg {
	header := make(nats.Header, len(m.Header)+3)
	maps.Copy(header, m.Header)
	return &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
}

// withoutBatch removes the headers of a batch: with them a message of a refused batch would
// belong to that batch even when published alone.
func withoutBatch(header nats.Header) {
	for _, key := range []string{headerBatchID, headerBatchSequence, headerBatchCommit} {
		delete(header, key)
	}
}

// noID is the id of no message: [bridge.MsgID] never leaves a bare percent sign.
const noID = "%"

// ask finds out whether the stream knows the id of m, without storing m and without a sync: the
// stream looks for duplicates before it compares its last id with the expected one, which never
// matches. [isNew] recognises the error for an unknown id.
func (c *committer) ask(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	header := make(nats.Header, len(m.Header)+1)
	maps.Copy(header, m.Header)
	header[headerExpectedLastID] = []string{noID}
	return c.js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}, jetstream.WithRetryAttempts(0))
}

func isNew(err error) bool { return natserr.Is(err, natserr.WrongLastID) }
