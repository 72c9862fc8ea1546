package consumers

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
)

// places is how many events of this process may wait with the durable. The server delivers no
// fresh event while durable.MaxAckPending of them wait there (nats-server 2.15.2), so ten
// processes can fill their places.
const places = durable.MaxAckPending / 10

// waits counts the events of one process that wait with the durable. It is safe for
// concurrent use.
type waits struct {
	most  int64
	count atomic.Int64
}

// take takes a place for as long as the delay. It returns false when none is free.
func (w *waits) take(delay time.Duration) bool {
	if w.count.Add(1) > w.most {
		w.count.Add(-1)
		return false
	}
	time.AfterFunc(delay, func() { w.count.Add(-1) })
	return true
}

// comeAgain ends this delivery and has the event come again after the delay. An event waits with
// the durable when the wait is short and a place is free, otherwise in the stream of waiting
// events, from where a copy comes back for this consumer alone. An event that cannot wait there
// comes again earlier than it should.
func (a *attempt) comeAgain(ctx context.Context, delay time.Duration) error {
	if delay <= a.consumer.short && a.consumer.waits.take(delay) {
		return a.comeBack(delay)
	}
	if err := a.schedule(ctx, delay); err != nil {
		a.consumer.log.Warn("an event cannot wait for as long as it should, it comes again earlier", logEvent(a.event), slog.Any("error", err))
		return a.comeBack(a.consumer.cfg.Retry.longest())
	}
	// Without the server's answer the event could come twice: now, and when its time has come.
	return a.msg.DoubleAck(ctx)
}

// comeBack has the durable deliver the event again after the delay.
func (a *attempt) comeBack(delay time.Duration) error {
	a.next = time.Now().Add(delay)
	return a.msg.NakWithDelay(delay)
}

// schedule returns once the copy is stored that comes after the delay. The copy has no message
// id: a later copy under the same subject replaces it.
func (a *attempt) schedule(ctx context.Context, delay time.Duration) error {
	if !a.consumer.cfg.BindOnly { // such a user may not look the stream up
		if err := a.consumer.room.Take(ctx, len(a.msg.Data())); err != nil {
			return err
		}
	}
	names, consumer := a.consumer.names, a.consumer.cfg.Name
	again := bridge.Again{Attempt: a.past.Failures + 1, First: a.past.First, Sequence: a.seq, Copied: a.seq, Redrives: a.again.Redrives}
	if a.again.Sequence > 0 {
		again.Sequence = a.again.Sequence
	}
	m := &nats.Msg{
		Subject: names.Later(consumer, a.event.ID, again.Attempt),
		Header:  nats.Header(again.Header(bridge.Header(a.msg.Headers()))),
		Data:    a.msg.Data(),
	}
	at := time.Now().Add(delay)
	ack, err := a.consumer.js.PublishMsg(ctx, m,
		jetstream.WithScheduleAt(at), jetstream.WithScheduleTarget(names.Due(consumer, a.msg.Subject())))
	if err != nil {
		return fmt.Errorf("keeping an event until its next attempt: %w", err)
	}
	if ack.Stream != names.LaterStream() {
		return fmt.Errorf("keeping an event until its next attempt: stream %s took it instead of %s", ack.Stream, names.LaterStream())
	}
	a.next = at
	return nil
}
