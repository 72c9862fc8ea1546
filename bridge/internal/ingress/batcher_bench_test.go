//go:build unix

package ingress_test

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
	// leastBatch is the size from which a batch is cheaper than single publishes; mostBatch
	// is the server's limit.
	leastBatch = 6
	mostBatch  = 1000
)

// batcher is the best possible client: it commits all waiting messages as one atomic batch.
// It does not check for duplicates, and any failure ends the benchmark.
type batcher struct {
	js    jetstream.JetStream
	queue chan waiting
}

type waiting struct {
	msg  *nats.Msg
	done chan error
}

func (c batcher) store(m *nats.Msg) error {
	w := waiting{m, make(chan error, 1)}
	c.queue <- w
	return <-w.done
}

func (c batcher) run(ctx context.Context) error {
	for {
		var batch []waiting
		select {
		case <-ctx.Done():
			return nil
		case w := <-c.queue:
			batch = append(batch, w)
		}
		for len(batch) < mostBatch && len(c.queue) > 0 {
			batch = append(batch, <-c.queue)
		}
		if err := c.commit(ctx, batch); err != nil {
			return err
		}
	}
}

func (c batcher) commit(ctx context.Context, batch []waiting) error {
	if len(batch) < leastBatch {
		acks := make([]jetstream.PubAckFuture, len(batch))
		for i, w := range batch {
			var err error
			if acks[i], err = c.js.PublishMsgAsync(w.msg); err != nil {
				return err
			}
		}
		for i, w := range batch {
			select {
			case <-acks[i].Ok():
				w.done <- nil
			case err := <-acks[i].Err():
				w.done <- err
			}
		}
		return nil
	}
	id := nuid.Next()
	for i, w := range batch {
		m := &nats.Msg{Subject: w.msg.Subject, Header: maps.Clone(w.msg.Header), Data: w.msg.Data}
		m.Header["Nats-Batch-Id"], m.Header["Nats-Batch-Sequence"] = []string{id}, []string{strconv.Itoa(i + 1)}
		if i < len(batch)-1 {
			if err := c.js.Conn().PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		m.Header["Nats-Batch-Commit"] = []string{"1"}
		answer, err := c.js.Conn().RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		var ack struct{ Count int }
		if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Count != len(batch) {
			return errors.Join(fmt.Errorf("the batch was answered %q", answer.Data), err)
		}
	}
	for _, w := range batch {
		w.done <- nil
	}
	return nil
}
