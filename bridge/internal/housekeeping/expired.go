package housekeeping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Reasons for the loss of unhandled events.
const (
	causeRoom = "room" // the stream was full
	causeAge  = "age"  // the events reached the maximum age of the stream
)

// Expired is the JSON payload of a record in the stream of dead letters: a range of events that
// left the stream of events before one durable had handled all of them. One record stands for
// the whole range.
type Expired struct {
	// Consumer is the durable; empty when there was none.
	Consumer        string    `json:"consumer"`
	ConsumerCreated time.Time `json:"consumer_created"`
	Stream          string    `json:"stream"`
	StreamCreated   time.Time `json:"stream_created"`
	// From is the first and To the last sequence of the range.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Count is an upper bound for the events that the consumer had not handled.
	Count uint64 `json:"count"`
	// FirstTime and LastTime are when the first and the last event were stored.
	FirstTime time.Time `json:"first_time"`
	LastTime  time.Time `json:"last_time"`
	// Reason is "room" or "age".
	Reason string `json:"reason"`
}

func (r *round) maxAge() time.Duration { return r.info.Config.MaxAge }

func (r *round) margin() time.Duration { return min(longestMargin, r.maxAge()/marginShare) }

func (r *round) aging() bool {
	return r.maxAge() > 0 && r.info.State.Msgs > 0 && r.now.Sub(r.info.State.FirstTime) > r.maxAge()-r.margin()/2
}

// recordAging records unhandled events that are about to age out. It records a range once the
// oldest event has half the margin left, and includes every event with less than the whole
// margin left. So an abandoned durable gets a record per half hour, not one per round.
func (r *round) recordAging(ctx context.Context) error {
	late, err := r.firstSince(ctx, r.now.Add(-r.maxAge()+r.margin()/2))
	if err != nil {
		return err
	}
	to, err := r.firstSince(ctx, r.now.Add(-r.maxAge()+r.margin()))
	if err != nil {
		return err
	}
	var errs []error
	for i, d := range r.durables {
		if d.next < late {
			errs = append(errs, r.record(ctx, &r.durables[i], to, causeAge))
		}
	}
	return errors.Join(errs...)
}

// record stores a record of the events before sequence to that d has not handled, and moves d
// past them. A crash before the purge makes no second record: the next round finds the first
// one.
func (r *round) record(ctx context.Context, d *durable, to uint64, reason string) error {
	if d.next >= to {
		return nil
	}
	e := Expired{
		Consumer: d.name, ConsumerCreated: d.created, Stream: r.info.Config.Name, StreamCreated: r.info.Created,
		From: d.next, To: to - 1, Count: to - d.next, Reason: reason,
	}
	if d.filters != nil {
		before, err := streamread.Count(ctx, r.stream, d.filters, d.next)
		if err != nil {
			return err
		}
		after, err := streamread.Count(ctx, r.stream, d.filters, to)
		if err != nil {
			return err
		}
		e.Count = min(before-min(after, before), d.waiting)
	}
	e.FirstTime, e.LastTime = r.timeOf(ctx, e.From), r.timeOf(ctx, e.To)
	if err := r.storeRecord(ctx, e); err != nil {
		return err
	}
	d.next = to
	who := "durable " + d.name + " had not handled them: see what keeps it, or remove it if nobody needs it"
	if d.name == "" {
		who = "there is no durable to handle them: configure a consumer"
	}
	r.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmExpired, Subject: d.name,
		Text: "events leave the stream unhandled (" + map[string]string{causeRoom: "it is full", causeAge: "they are too old"}[reason] + "); " + who,
		Details: map[string]any{
			"consumer": e.Consumer, "from": e.From, "to": e.To, "count": e.Count,
			"first_time": e.FirstTime, "last_time": e.LastTime, "reason": reason,
		},
	})
	return nil
}

func (r *round) storeRecord(ctx context.Context, e Expired) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	deadLetter := bridge.DeadLetter{Consumer: e.Consumer, Cause: bridge.DeadExpired, Fault: bridge.DeadExpired.Fault(), Sequence: e.From}
	h := deadLetter.Header(nil)
	h[bridge.HeaderMsgID] = []string{e.msgID()}
	m := &nats.Msg{Subject: r.cfg.Names.Expired(e.Consumer), Header: nats.Header(h), Data: text}
	check := streamread.Check{
		JS:      r.js,
		Publish: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) { return r.js.PublishMsg(ctx, m) },
		Same:    e.isIn,
		Taken:   func(t streamread.Taken) { r.cfg.Alarms.Raise(t.Alarm()) },
	}
	dead := r.cfg.Names.DeadStream()
	ack, err := check.Publish(ctx, m)
	if err == nil && ack.Stream == dead {
		ack, err = check.Confirm(ctx, m, ack)
	}
	if err != nil {
		return fmt.Errorf("recording events %d to %d that durable %q loses: %w", e.From, e.To, e.Consumer, err)
	}
	if ack.Stream != dead {
		return fmt.Errorf("recording events that durable %q loses: stream %s took it instead of %s", e.Consumer, ack.Stream, dead)
	}
	r.cfg.Logger.Warn("recorded events that leave unhandled", zap.Any("record", e))
	return nil
}

func (e Expired) msgID() string {
	return bridge.MsgID("expired", e.Stream, strconv.FormatInt(e.StreamCreated.UnixNano(), 36),
		e.Consumer, strconv.FormatInt(e.ConsumerCreated.UnixNano(), 36), strconv.FormatUint(e.From, 10), strconv.FormatUint(e.To, 10))
}

// isIn reports whether found is a record of the same range as m, the message of e. Two
// processes may count the unhandled events differently.
func (e Expired) isIn(found *jetstream.RawStreamMsg, m *nats.Msg) bool {
	var have Expired
	return found.Subject == m.Subject && streamread.SameHeader(bridge.Header(found.Header), bridge.Header(m.Header)) &&
		json.Unmarshal(found.Data, &have) == nil && have.covers(e)
}

func (e Expired) covers(o Expired) bool {
	return e.Consumer == o.Consumer && e.ConsumerCreated.Equal(o.ConsumerCreated) && e.Stream == o.Stream && e.StreamCreated.Equal(o.StreamCreated) &&
		e.From == o.From && e.To == o.To
}

// skipRecorded moves d past the range that was last recorded as lost to it, if durable and
// stream are still the same ones. Only bridges may publish such records.
func (r *round) skipRecorded(ctx context.Context, d *durable) error {
	if d.next > r.info.State.LastSeq {
		return nil
	}
	dead, err := streamread.Open(ctx, r.js, r.cfg.Names.DeadStream())
	if err != nil {
		return fmt.Errorf("looking up the stream of dead letters: %w", err)
	}
	m, err := dead.GetLastMsgForSubject(ctx, r.cfg.Names.Expired(d.name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the losses of durable %q: %w", d.name, err)
	}
	var e Expired
	if err := json.Unmarshal(m.Data, &e); err != nil {
		r.cfg.Logger.Warn("a record of expired events cannot be read, and is ignored", zap.Uint64("sequence", m.Sequence), zap.Error(err))
		return nil
	}
	if e.Consumer == d.name && e.ConsumerCreated.Equal(d.created) && e.StreamCreated.Equal(r.info.Created) && e.To <= r.info.State.LastSeq {
		d.next = max(d.next, e.To+1)
	}
	return nil
}

// timeOf is when the event at or after a sequence was stored; zero if no event can be read.
func (r *round) timeOf(ctx context.Context, sequence uint64) time.Time {
	m, err := streamread.GetNextReadable(ctx, r.stream, sequence, ">")
	if err != nil {
		return time.Time{}
	}
	return m.Time
}
