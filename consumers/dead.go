package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
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

// publishDead returns when the letter is in the stream of dead letters. A duplicate is
// looked at, unless the consumer only binds: then it may not look, and may make a letter
// twice.
func (c *Consumer) publishDead(ctx context.Context, letter *nats.Msg) error {
	check := streamread.Check{
		Publish: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) { return c.js.PublishMsg(ctx, m) },
		Taken: func(t streamread.Taken) {
			alarm := t.Alarm()
			c.log.Error(alarm.Text, zap.Any("details", alarm.Details))
		},
	}
	if !c.cfg.BindOnly {
		check.JS = c.js
	}
	ack, err := check.Publish(ctx, letter)
	if err == nil && ack.Stream == c.names.DeadStream() {
		ack, err = check.Confirm(ctx, letter, ack)
	}
	if err != nil {
		return fmt.Errorf("publishing a dead letter: %w", err)
	}
	if ack.Stream != c.names.DeadStream() {
		return fmt.Errorf("publishing a dead letter: stream %s took it instead of %s", ack.Stream, c.names.DeadStream())
	}
	return nil
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
