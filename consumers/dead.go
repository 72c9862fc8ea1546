package consumers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
)

// bury makes a dead letter of the event and ends its delivery, in this order: a
// crash in between makes the same letter again, which the stream knows by its
// id. Without the letter the event is not ended, it comes again.
func (a *attempt) bury(ctx context.Context, cause bridge.DeadCause, took time.Duration) error {
	past := a.past
	if a.event != nil && cause != bridge.DeadConflict {
		past = past.with(a.event.ID, a.failed(took))
	}
	if cause == bridge.DeadConflict { // what is remembered is of the other event
		past = record{Attempts: []bridge.FailedAttempt{a.failed(took)}}
	}
	if err := a.consumer.publishDead(ctx, a.deadLetter(cause, past)); err != nil {
		if a.event == nil || cause == bridge.DeadConflict || cause == bridge.DeadPoison { // nothing was tried
			return errors.Join(err, a.msg.NakWithDelay(a.consumer.cfg.Retry.longest()))
		}
		return errors.Join(err, a.retry(ctx, a.consumer.cfg.Retry.longest(), took))
	}
	if err := a.msg.TermWithReason(string(cause)); err != nil {
		return fmt.Errorf("ending the delivery of a dead letter: %w", err)
	}
	if a.event == nil || cause == bridge.DeadConflict {
		return nil
	}
	// What was tried is in the letter.
	failures := past.Failures
	err := a.remember(ctx, record{Event: a.event.ID, State: stateDead})
	a.past.Failures = failures
	return err
}

// publishDead returns when the letter is in the stream of dead letters. That the
// stream knows its id is no proof: the letter may have been removed since, or
// somebody else may have used the id.
func (c *Consumer) publishDead(ctx context.Context, letter *nats.Msg) error {
	ack, err := c.js.PublishMsg(ctx, letter)
	if err == nil && ack.Duplicate && !c.isThere(ctx, letter, ack.Sequence) {
		id := letter.Header[bridge.HeaderMsgID][0]
		letter.Header[bridge.HeaderMsgID] = []string{id + ":" + rand.Text()}
		ack, err = c.js.PublishMsg(ctx, letter)
	}
	if err != nil {
		return fmt.Errorf("publishing a dead letter: %w", err)
	}
	if ack.Stream != c.names.DeadStream() {
		return fmt.Errorf("publishing a dead letter: stream %s took it instead of %s", ack.Stream, c.names.DeadStream())
	}
	return nil
}

func (c *Consumer) isThere(ctx context.Context, letter *nats.Msg, sequence uint64) bool {
	if c.cfg.BindOnly {
		return false // it may not look, and two letters are better than none
	}
	stream, err := c.js.Stream(ctx, c.names.DeadStream())
	if err != nil {
		return false
	}
	there, err := stream.GetMsg(ctx, sequence)
	return err == nil && there.Subject == letter.Subject && bytes.Equal(there.Data, letter.Data)
}

// deadLetter is the event with why it died.
func (a *attempt) deadLetter(cause bridge.DeadCause, past record) *nats.Msg {
	d := bridge.DeadLetter{
		Consumer: a.consumer.cfg.Name, Cause: cause, Fault: cause.Fault(), Attempts: past.Failures, History: past.Attempts,
		Subject: a.msg.Subject(), Sequence: a.seq, Redrives: a.again.Redrives,
	}
	if a.err != nil {
		d.Error = a.err.Error()
	}
	id := bridge.UndecodableID(a.msg.Subject(), a.msg.Data())
	if a.event != nil {
		id = a.event.ID
	}
	h := d.Header(bridge.Header(a.msg.Headers()))
	h[bridge.HeaderMsgID] = []string{d.ID(id)}
	return &nats.Msg{Subject: a.consumer.names.Dead(d.Consumer, d.Subject), Header: nats.Header(h), Data: a.msg.Data()}
}
