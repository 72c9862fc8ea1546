package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// leastBatch is how many messages a batch must have to be cheaper than
	// single publishes, mostBatch what the server takes.
	leastBatch = 6
	mostBatch  = 1000

	batchID       = "Nats-Batch-Id"
	batchSequence = "Nats-Batch-Sequence"
	batchCommit   = "Nats-Batch-Commit"
)

// batcher is the best plain client: it commits whatever waits as one atomic batch.
// It knows nothing of duplicates, limits or failures; any of them ends the run.
type batcher struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	waiting chan waiter
}

type waiter struct {
	msg  *nats.Msg
	done chan error
}

func newBatcher(js jetstream.JetStream) *batcher {
	return &batcher{nc: js.Conn(), js: js, waiting: make(chan waiter, mostBatch)}
}

// publish returns when the message is stored. run must run.
func (b *batcher) publish(ctx context.Context, m *nats.Msg) error {
	w := waiter{msg: m, done: make(chan error, 1)}
	select {
	case b.waiting <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run commits until ctx ends.
func (b *batcher) run(ctx context.Context) {
	for {
		var batch []waiter
		select {
		case <-ctx.Done():
			return
		case w := <-b.waiting:
			batch = append(batch, w)
		}
		for more := true; more && len(batch) < mostBatch; {
			select {
			case w := <-b.waiting:
				batch = append(batch, w)
			default:
				more = false
			}
		}
		if len(batch) < leastBatch {
			b.singles(ctx, batch)
			continue
		}
		msgs := make([]*nats.Msg, len(batch))
		for i, w := range batch {
			msgs[i] = w.msg
		}
		err := commit(ctx, b.nc, msgs)
		for _, w := range batch {
			w.done <- err
		}
	}
}

// singles publishes each message by itself, without waiting in between.
func (b *batcher) singles(ctx context.Context, batch []waiter) {
	futures := make([]jetstream.PubAckFuture, len(batch))
	for i, w := range batch {
		var err error
		if futures[i], err = b.js.PublishMsgAsync(w.msg); err != nil {
			w.done <- fmt.Errorf("publishing: %w", err)
		}
	}
	for i, w := range batch {
		if futures[i] == nil {
			continue
		}
		select {
		case <-futures[i].Ok():
			w.done <- nil
		case err := <-futures[i].Err():
			w.done <- fmt.Errorf("publishing: %w", err)
		case <-ctx.Done():
			w.done <- ctx.Err()
		}
	}
}

// commit stores the messages as one batch, all or none.
func commit(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) error {
	id := nuid.Next()
	for i, m := range msgs {
		header := maps.Clone(m.Header)
		header[batchID] = []string{id}
		header[batchSequence] = []string{strconv.Itoa(i + 1)}
		part := &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
		if i < len(msgs)-1 {
			if err := nc.PublishMsg(part); err != nil {
				return fmt.Errorf("publishing a batch: %w", err)
			}
			continue
		}
		header[batchCommit] = []string{"1"}
		answer, err := nc.RequestMsgWithContext(ctx, part)
		if err != nil {
			return fmt.Errorf("committing a batch: %w", err)
		}
		var ack struct {
			Error *jetstream.APIError `json:"error"`
			Batch string              `json:"batch"`
			Count int                 `json:"count"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return fmt.Errorf("reading the answer to a batch: %w", err)
		}
		if ack.Error != nil {
			return fmt.Errorf("committing a batch: %w", ack.Error)
		}
		if ack.Batch != id || ack.Count != len(msgs) {
			return errors.New("committing a batch: the answer is to another one")
		}
	}
	return nil
}
