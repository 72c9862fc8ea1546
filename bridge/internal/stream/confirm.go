package stream

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// SetAlarms has the publisher tell of messages that have the id of another one. Without
// it nobody is told. It must be called before anything is published.
func (p *Publisher) SetAlarms(alarms bridge.Alarmer) { p.alarms = alarms }

// confirm looks up what the stream calls a duplicate, and stores m after all when
// something else has its id, or nothing any more; see [streamread.Check]. Dead letters need that,
// because the programs of other teams write to their stream, and so do copies that come
// again for a consumer, and deliveries in quarantine, which an operator can have dropped.
//
// Events are not looked up: webhooks that are sent again are many, and wait for the
// answer. Nobody but processes of a bridge can write to their subjects. Programs of other
// accounts cannot publish there, and what processes of a bridge publish for them has an
// id of another form: an announcement ends with "/watch/" and the digest of its own body,
// and a copy that waited begins with the consumer and ends with a number. And no event is
// removed before its id is forgotten, but by an operator's hand.
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
	if stream == p.names.QuarantineStream() {
		// Its ids are made of all that is kept of a delivery but when and from where it
		// came, and nobody else writes there.
		check.Same = func(*jetstream.RawStreamMsg, *nats.Msg) bool { return true }
	}
	r.ack, r.err = check.Confirm(ctx, m, r.ack)
	return r
}
