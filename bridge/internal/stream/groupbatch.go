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

// batch is an atomic batch on its way: the server keeps all of its messages or
// none, and says so once, when all are on the disk.
type batch struct {
	nc      *nats.Conn
	id      string
	members []*entry
	bytes   int
	ids     map[string]bool
	// sent is how many were published. The last one is held back until the batch
	// is committed, as it carries that word.
	sent    int
	started time.Time
	// trial: they are published as singles, to see what those cost.
	trial bool

	// What came of it.
	stored  *jetstream.PubAck // the last one's
	err     error
	took    time.Duration
	results []result // of a trial
}

func newBatch(nc *nats.Conn) *batch {
	return &batch{nc: nc, id: rand.Text(), ids: map[string]bool{}, started: time.Now()}
}

// add says whether e still fits; a batch with two equal ids would be refused.
func (b *batch) add(e *entry, cfg groupConfig) bool {
	if len(b.members) == cfg.maxBatch || len(b.members) > 0 && b.bytes+e.size > cfg.maxBatchBytes || e.id != "" && b.ids[e.id] {
		return false
	}
	b.members = append(b.members, e)
	b.bytes += e.size
	b.ids[e.id] = true
	return true
}

// publish sends all but the last one. After an error nothing of the batch can be
// stored: without its commit the server drops it.
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

// commit sends the last one and returns what the server says. An error that
// [isRefusal] knows means that nothing was stored, any other that it is not known.
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

// ack is what is told of member i.
func (b *batch) ack(i int) *jetstream.PubAck {
	ack := *b.stored
	ack.Sequence -= uint64(len(b.members) - 1 - i)
	return &ack
}

// errRefused: the server was surely not given the whole batch.
var errRefused = errors.New("the batch was not committed")

// isRefusal says whether err is of a batch of which nothing is stored, so that
// its messages may be published again, one by one. The stream checks all of them
// before it stores the first, so each error of its own is one. Should it ever
// fail in between, the messages' ids still keep them from being stored twice.
func isRefusal(err error) bool {
	_, api := errors.AsType[*jetstream.APIError](err)
	return api || errors.Is(err, errRefused)
}

// answerOf is an acknowledgement with what only a batch's has.
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

// copyForBatch is m with a header that has room for a batch's, and a body of its
// own: m goes back to the caller when its time is up, and may be still to be sent.
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

// withoutBatch takes a batch's own headers away: with them a message of a batch that
// was refused would still be a part of it, also where it is published alone.
func withoutBatch(header nats.Header) {
	for _, key := range []string{headerBatchID, headerBatchSequence, headerBatchCommit} {
		delete(header, key)
	}
}

// noID is the id of no message: [bridge.MsgID] never leaves a bare percent sign.
const noID = "%"

// ask finds out whether the stream knows the id of m without storing m and without
// a sync: the stream looks for duplicates before it compares its last id with the
// one that is expected, which it cannot have. The error is one that [isNew] knows
// when it does not know m.
func (c *committer) ask(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	header := make(nats.Header, len(m.Header)+1)
	maps.Copy(header, m.Header)
	header[headerExpectedLastID] = []string{noID}
	return c.js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}, jetstream.WithRetryAttempts(0))
}

func isNew(err error) bool { return natserr.Is(err, natserr.WrongLastID) }
