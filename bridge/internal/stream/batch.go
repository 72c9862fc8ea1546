package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of JetStream's atomic batches (ADR-50). The stored messages keep them.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// commitBatch stores all messages, or none, with one sync: an atomic batch. After an error that
// [isRefusal] recognises none is stored; after any other the outcome is unknown. At most
// [batchMessages] messages, with different ids.
func (x *exchange) commitBatch(ctx context.Context, msgs []*nats.Msg, results []result) error {
	id := rand.Text()
	x.next()
	for i, m := range msgs {
		reply := ""
		if i == len(msgs)-1 {
			reply = x.reply(0)
		}
		if err := x.publishInBatch(m, id, i+1, reply); err != nil {
			// Without its commit the server drops the batch.
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	answer, _, err := x.await(ctx)
	if err != nil {
		return fmt.Errorf("committing a batch: %w", err)
	}
	ack, err := parseAck(answer)
	if err != nil {
		return err
	}
	if ack.Batch != id || ack.Duplicate || ack.Count != len(msgs) || ack.Sequence < uint64(ack.Count) {
		return fmt.Errorf("%w: it is not of this batch: %.200s", jetstream.ErrInvalidJSAck, answer.Data)
	}
	for i := range results {
		one := ack.PubAck
		one.Sequence -= uint64(len(msgs) - 1 - i)
		results[i] = result{ack: &one}
	}
	return nil
}

// publishInBatch sends m as a message of the batch; with a reply it is the last one. m has the
// headers of the batch only meanwhile: with them it would belong to the batch even when it is
// published alone later.
func (x *exchange) publishInBatch(m *nats.Msg, id string, number int, reply string) error {
	m.Header[headerBatchID] = []string{id}
	m.Header[headerBatchSequence] = []string{strconv.Itoa(number)}
	defer delete(m.Header, headerBatchID)
	defer delete(m.Header, headerBatchSequence)
	if reply != "" {
		m.Header[headerBatchCommit] = []string{"1"}
		defer delete(m.Header, headerBatchCommit)
	}
	return x.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: reply, Header: m.Header, Data: m.Data})
}

// errRefused: the server did not get the whole batch.
var errRefused = errors.New("the batch was not committed")

// isRefusal reports whether err means that nothing of the batch is stored, so that its messages
// may be published again. The stream checks all messages before it stores the first, so each of
// its errors means this. If it ever failed in between, the message ids would still prevent
// duplicates.
func isRefusal(err error) bool {
	_, api := errors.AsType[*jetstream.APIError](err)
	return api || errors.Is(err, errRefused) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

type answerOf struct {
	jetstream.PubAck

	Batch string              `json:"batch"`
	Count int                 `json:"count"`
	Error *jetstream.APIError `json:"error"`
}

// parseAck reads the stream's answer to a publish.
func parseAck(m *nats.Msg) (*answerOf, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, jetstream.ErrNoStreamResponse
	}
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
