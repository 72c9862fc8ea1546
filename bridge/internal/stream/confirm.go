package stream

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// SetAlarms sets who is told of messages with the id of another one; nobody by default. It must
// be called before the first publish.
func (p *Publisher) SetAlarms(alarms bridge.Alarmer) { p.alarms = alarms }

// confirm looks up the message that the stream calls a duplicate, and stores m after all if the
// id belongs to another message or to none any more; see [streamread.Check]. Dead letters need
// this because programs of other teams write to their stream; so do redelivered copies, and
// quarantined deliveries, which an operator can have dropped.
//
// Events are not looked up: repeated webhooks are frequent and wait for the answer, and only
// bridges can publish to event subjects. What bridges publish there for other programs has ids
// of another form: an announcement ends in "/watch/" and the digest of its own body, a copy
// that waited begins with the consumer and ends in a number. And only an operator can remove an
// event before its id is forgotten.
func (p *Publisher) confirm(ctx context.Context, stream string, m *nats.Msg, r result) result {
	if r.err != nil || !r.ack.Duplicate || r.ack.Stream != stream || stream == p.names.EventsStream() && !p.names.IsAgain(m.Subject) {
		return r
	}
	check := streamread.Check{
		JS: p.js,
		Publish: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
			return p.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
		},
		Taken: func(t streamread.Taken) {
			if p.alarms != nil {
				p.alarms.Raise(t.Alarm())
			}
		},
	}
	// Whoever has the bridge store a dead letter comes again after an error: the reaper, the poller.
	check.Certain = stream == p.names.DeadStream()
	switch stream {
	case p.names.QuarantineStream(), p.names.UnconfirmedStream(), p.names.AlarmsStream():
		// Ids of kept deliveries cover everything but time and origin of the receipt. Alarms of what
		// lasts have one id, in whatever words each process, or the same one after a restart, tells of
		// the cause. Only bridges write to both streams.
		check.Same = func(*jetstream.RawStreamMsg, *nats.Msg) bool { return true }
	}
	r.ack, r.err = check.Confirm(ctx, m, r.ack)
	return r
}
