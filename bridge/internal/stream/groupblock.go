package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errBehind is for a message that was not sent because one before it failed.
var errBehind = fmt.Errorf("%w: a message before it was not stored", errNotSent)

// commitAll makes a block of messages durable, in order; results[i] is the outcome of msgs[i].
// It commits the block in parts, each as a batch, or as a flight of singles where a batch is
// impossible or does not pay. It stops after a part with a failed message. In a flight,
// messages behind a failed one may be stored nevertheless, as their results say. The messages
// must not be touched until commitAll returns.
func (c *committer) commitAll(ctx context.Context, msgs []*nats.Msg) []result {
	results := make([]result, len(msgs))
	if !c.enter() {
		return failAll(results, errStopped)
	}
	defer c.tasks.Done()
	for from := 0; from < len(msgs); {
		if err := ctx.Err(); err != nil {
			failAll(results[from:], notSent(err))
			break
		}
		b, how := c.part(msgs[from:])
		part := results[from : from+len(b.members)]
		from += len(b.members)
		if !c.commitPart(ctx, b, how, part) {
			failAll(results[from:], errBehind)
			break
		}
	}
	return results
}

type way int

const (
	asFlight way = iota
	asTrial      // a flight that measures singles
	asBatch
)

// part returns the part of the block to commit next, and how.
func (c *committer) part(msgs []*nats.Msg) (*batch, way) {
	c.mu.Lock()
	able, few, how := c.able.Load(), c.cost.breakEven(), asFlight
	if able && len(msgs) >= few && c.cost.wantsTrial() {
		msgs, how = msgs[:c.cost.due(len(msgs))], asTrial
	}
	c.mu.Unlock()
	b := newBatch(c.js.Conn())
	for _, m := range msgs {
		if !b.add(&entry{msg: m, id: messageID(m), size: messageSize(m)}, c.cfg) {
			break
		}
	}
	if able && how == asFlight && len(b.members) >= few {
		how = asBatch
	}
	return b, how
}

func failAll(results []result, err error) []result {
	for i := range results {
		results[i].err = err
	}
	return results
}

// enter keeps the committer from closing until tasks.Done.
func (c *committer) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.tasks.Add(1)
	}
	return !c.closed
}

// commitPart reports whether all of b is stored.
func (c *committer) commitPart(ctx context.Context, b *batch, how way, results []result) bool {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	if how == asBatch {
		var err error
		b.stored, err = b.withHeaders().commit(ctx)
		c.cfg.observe(len(b.members))
		if err == nil {
			for i := range results {
				results[i].ack = b.ack(i)
			}
		} else if !isRefusal(err) {
			failAll(results, err)
		} else {
			how = asFlight
		}
	}
	if how != asBatch {
		flight(ctx, b, results)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stored, duplicates := true, false
	for i, r := range results {
		if r.err != nil {
			stored = false
			continue
		}
		c.known.add(b.members[i].id)
		duplicates = duplicates || r.ack.Duplicate
	}
	switch took := time.Since(b.started); {
	case !stored || duplicates:
	case how == asBatch:
		c.cost.batch(len(results), took)
	case how == asTrial:
		c.cost.trial(len(results), took)
	}
	return stored
}

// withHeaders returns b with copies of its messages and their headers.
func (b *batch) withHeaders() *batch {
	with := *b
	with.members = make([]*entry, len(b.members))
	for i, e := range b.members {
		with.members[i] = &entry{msg: withBatchHeader(e.msg)}
	}
	return &with
}

// flight publishes messages one after the other without waiting in between.
func flight(ctx context.Context, b *batch, results []result) {
	nc := b.nc
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, len(b.members))
	sub, err := nc.ChanSubscribe(inbox+".*", answers)
	if err != nil {
		failAll(results, notSent(err))
		return
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails when the connection is closed, and then it is gone anyway
	waiting := 0
	for i, e := range b.members {
		err := nc.PublishMsg(&nats.Msg{Subject: e.msg.Subject, Reply: inbox + "." + strconv.Itoa(i), Header: e.msg.Header, Data: e.msg.Data})
		if err != nil {
			results[i].err = err
			failAll(results[i+1:], errBehind)
			break
		}
		results[i].err = errNoAnswer
		waiting++
	}
	for ; waiting > 0; waiting-- {
		select {
		case m := <-answers:
			if i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]); err == nil && i >= 0 && i < len(results) {
				results[i] = singleAnswer(m)
			}
		case <-ctx.Done():
			waiting = 1
		}
	}
}

// errNoAnswer is for a message that was sent and may be stored.
var errNoAnswer = errors.New("no acknowledgement came")

func singleAnswer(m *nats.Msg) result {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return result{err: jetstream.ErrNoStreamResponse}
	}
	ack, err := parseAck(m)
	if err != nil {
		return result{err: err}
	}
	return result{ack: &ack.PubAck}
}
