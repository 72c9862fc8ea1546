package consumers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// laterAge is how long what is known of the room for waiting events is believed.
const laterAge = 5 * time.Second

// errNoRoomLater: events that wait may not take more space. The stream itself has no
// limit: one would make it drop schedules that it has acknowledged (nats-server
// 2.15.2).
var errNoRoomLater = errors.New("too many events wait for their next attempt")

// later is where events wait for an attempt that is far away. Whoever provisions the
// stream moves them back to the consumer when their time has come.
type later struct {
	js    jetstream.JetStream
	names bridge.Names

	mu     sync.Mutex
	looked time.Time
	err    error // why nothing can wait there
}

// room returns nil when one more event may wait.
func (l *later) room(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.looked) >= laterAge {
		l.err = l.look(ctx)
		l.looked = time.Now()
	}
	return l.err
}

func (l *later) look(ctx context.Context) error {
	stream, err := l.js.Stream(ctx, l.names.LaterStream())
	if err != nil {
		return fmt.Errorf("looking at the stream of waiting events: %w", err)
	}
	info := stream.CachedInfo()
	limit, err := strconv.ParseUint(info.Config.Metadata[bridge.LaterLimitKey], 10, 64)
	if err == nil && info.State.Bytes >= limit {
		return errNoRoomLater
	}
	return nil
}

// comeAgain has the event come again after the delay, and ends this delivery. A short
// wait is with the durable, a long one in a stream of its own, from where the event
// comes back for this consumer alone. Where it cannot wait there it comes again
// earlier than it should.
func (a *attempt) comeAgain(ctx context.Context, delay time.Duration) error {
	if delay <= a.consumer.short {
		return a.msg.NakWithDelay(delay)
	}
	err := a.consumer.later.room(ctx)
	if err == nil {
		err = a.schedule(ctx, delay)
	}
	if err != nil {
		a.consumer.log.Warn("an event cannot wait for as long as it should, it comes again earlier", zapEvent(a.event), zap.Error(err))
		return a.msg.NakWithDelay(a.consumer.cfg.Retry.longest())
	}
	// If this is lost the event comes twice: now, and when its time has come.
	return a.msg.DoubleAck(ctx)
}

// schedule returns when the event is kept until the delay is over. It has no message
// id: another one under the same subject takes its place.
func (a *attempt) schedule(ctx context.Context, delay time.Duration) error {
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
