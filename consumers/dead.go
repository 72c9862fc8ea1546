package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/streamread"
)

// makeDeadLetter publishes a dead letter and then ends the delivery. After a crash in between
// the same dead letter is published again, and the stream knows it by its id. An event whose
// dead letter cannot be published comes again.
func (a *attempt) makeDeadLetter(ctx context.Context, cause bridge.DeadCause, took time.Duration) error {
	past := a.past
	if a.event != nil && cause != bridge.DeadConflict {
		past = past.With(a.event.ID, a.failed(took))
	}
	if cause == bridge.DeadConflict { // the record is of the other event
		past = attemptrecord.Record{Attempts: []bridge.FailedAttempt{a.failed(took)}}
	}
	if err := a.consumer.publishDead(ctx, a.deadLetter(cause, past)); err != nil {
		if a.event == nil || cause == bridge.DeadConflict || cause == bridge.DeadPoison { // no attempt was made
			return errors.Join(err, a.comeBack(a.consumer.cfg.Retry.longest()))
		}
		return errors.Join(err, a.retry(ctx, a.consumer.cfg.Retry.longest(), took))
	}
	a.consumer.metrics.deadLetters.WithLabelValues(string(cause)).Inc()
	if err := a.msg.TermWithReason(string(cause)); err != nil {
		return fmt.Errorf("ending the delivery of a dead letter: %w", err)
	}
	if a.event == nil || cause == bridge.DeadConflict {
		return nil
	}
	// The dead letter has the history of attempts.
	failures := past.Failures
	err := a.remember(ctx, attemptrecord.Record{Event: a.event.ID, State: attemptrecord.Dead})
	a.past.Failures = failures
	return err
}

// publishDead returns once the dead letter is in its stream. It compares a duplicate with the
// stored message, unless the consumer only binds: then it may not read the stream, and may
// publish a dead letter twice.
func (c *Consumer) publishDead(ctx context.Context, dead *nats.Msg) error {
	check := streamread.Check{
		Publish: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) { return c.js.PublishMsg(ctx, m) },
		Taken: func(t streamread.Taken) {
			alarm := t.Alarm()
			c.log.Error(alarm.Text, slog.Any("details", alarm.Details))
		},
	}
	if !c.cfg.BindOnly {
		check.JS = c.js
	}
	ack, err := check.Publish(ctx, dead)
	if err == nil && ack.Stream == c.names.DeadStream() {
		ack, err = check.Confirm(ctx, dead, ack)
	}
	if err != nil {
		return fmt.Errorf("publishing a dead letter: %w", err)
	}
	if ack.Stream != c.names.DeadStream() {
		return fmt.Errorf("publishing a dead letter: stream %s took it instead of %s", ack.Stream, c.names.DeadStream())
	}
	return nil
}

func (a *attempt) deadLetter(cause bridge.DeadCause, past attemptrecord.Record) *nats.Msg {
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
