package consumers

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// comeAgain has the event come again after the delay, and ends this delivery. A short
// wait is with the durable, a long one in a stream of its own, from where the event
// comes back for this consumer alone. Where it cannot wait there it comes again
// earlier than it should.
func (a *attempt) comeAgain(ctx context.Context, delay time.Duration) error {
	if delay <= a.consumer.short {
		return a.msg.NakWithDelay(delay)
	}
	if err := a.schedule(ctx, delay); err != nil {
		a.consumer.log.Warn("an event cannot wait for as long as it should, it comes again earlier", zapEvent(a.event), zap.Error(err))
		return a.msg.NakWithDelay(a.consumer.cfg.Retry.longest())
	}
	// If this is lost the event comes twice: now, and when its time has come.
	return a.msg.DoubleAck(ctx)
}

// schedule returns when the event is kept until the delay is over. It has no message
// id: another one under the same subject takes its place.
func (a *attempt) schedule(ctx context.Context, delay time.Duration) error {
	if !a.consumer.cfg.BindOnly { // it may not look
		if err := a.consumer.room.Take(ctx, len(a.msg.Data())); err != nil {
			return err
		}
	}
	names, consumer := a.consumer.names, a.consumer.cfg.Name
	again := bridge.Again{Attempt: a.past.Failures + 1, First: a.past.First, Sequence: a.seq, Redrives: a.again.Redrives}
	if a.again.Sequence > 0 {
		again.Sequence = a.again.Sequence
	}
	m := &nats.Msg{
		Subject: names.Later(consumer, a.event.ID, again.Attempt),
		Header:  nats.Header(again.Header(bridge.Header(a.msg.Headers()))),
		Data:    a.msg.Data(),
	}
	ack, err := a.consumer.js.PublishMsg(ctx, m,
		jetstream.WithScheduleAt(time.Now().Add(delay)), jetstream.WithScheduleTarget(names.Due(consumer, a.msg.Subject())))
	if err != nil {
		return fmt.Errorf("keeping an event until its next attempt: %w", err)
	}
	if ack.Stream != names.LaterStream() {
		return fmt.Errorf("keeping an event until its next attempt: stream %s took it instead of %s", ack.Stream, names.LaterStream())
	}
	return nil
}
