package redelivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
	"github.com/hookspan/hookspan/internal/streamread"
)

// maxReason bounds the stored reason of a program that ended a delivery, in bytes.
const maxReason = 1 << 10

// Reaper makes dead letters of unhandled events that the NATS server stops delivering to a
// durable: a program in any language ended the delivery with a terminal acknowledgement, or the
// event was delivered as often as allowed. Consumers of package consumers have stored their
// dead letter by then, under the same id. Any number of processes may run one.
type Reaper struct {
	js    jetstream.JetStream
	store Storer
	cfg   MoverConfig
}

// NewReaper returns a reaper that is not running yet.
func NewReaper(js jetstream.JetStream, store Storer, cfg MoverConfig) *Reaper {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("reaper")
	return &Reaper{js: js, store: store, cfg: cfg}
}

// Run makes dead letters until ctx ends, and returns nil. It retries after every error.
func (r *Reaper) Run(ctx context.Context) error {
	f := follower{
		js: r.js, stream: r.cfg.Names.AdvisoriesStream(), durable: reaperDurable(), bindOnly: r.cfg.BindOnly,
		each: r.reap, what: "advisories of the server", log: r.cfg.Logger,
	}
	return f.run(ctx)
}

func reaperDurable() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       "reaper",
		Description:   "Hookspan: makes dead letters of what the server gave up",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       moveLease,
		MaxAckPending: 8 * block,
		MaxDeliver:    -1,
	}
}

// advisory has the fields used of io.nats.jetstream.advisory.v1.terminated and of …max_deliver
// (nats-server 2.15.2).
type advisory struct {
	Type       string `json:"type"`
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries uint64 `json:"deliveries"`
	Reason     string `json:"reason"`
}

const advisoryExhausted = "io.nats.jetstream.advisory.v1.max_deliver"

func (r *Reaper) reap(ctx context.Context, msg jetstream.Msg) error {
	var a advisory
	if err := json.Unmarshal(msg.Data(), &a); err != nil || a.Stream != r.cfg.Names.EventsStream() || a.Consumer == "" {
		r.cfg.Logger.Warn("an advisory cannot be used and is dropped", zap.String("subject", msg.Subject()), zap.Error(err))
		return msg.Ack()
	}
	deadLetter, err := r.deadLetter(ctx, a)
	switch {
	case err != nil:
		return errors.Join(err, msg.NakWithDelay(firstRetry))
	case deadLetter != nil:
		receipt, err := r.store.Store(ctx, r.cfg.Names.DeadStream(), deadLetter)
		if err != nil {
			return errors.Join(fmt.Errorf("making a dead letter of event %d of durable %s: %w", a.StreamSeq, a.Consumer, err), msg.NakWithDelay(firstRetry))
		}
		if receipt.Result == bridge.Stored {
			r.cfg.Logger.Warn("an event became a dead letter, its program ended it or did not live to", zap.String("consumer", a.Consumer),
				zap.Uint64("sequence", a.StreamSeq), zap.Uint64("deliveries", a.Deliveries), zap.String("reason", printable.Truncate(a.Reason, maxReason)))
			r.tell(a.Consumer, deadLetter)
		}
		if err := r.settle(a); err != nil {
			return err
		}
	}
	return msg.Ack()
}

// tell tells of the attempt that ended in the dead letter, unless that holds no event.
func (r *Reaper) tell(consumer string, deadLetter *nats.Msg) {
	header := bridge.Header(deadLetter.Header)
	ev, err := bridge.DecodeEvent(header, deadLetter.Data)
	d, unread := bridge.DecodeDeadLetter(header)
	if err != nil || unread != nil {
		return
	}
	a := bridge.Attempt{Sequence: d.Sequence, Try: d.Attempts, Verdict: bridge.VerdictDead, Error: d.Error}
	if r.cfg.Names.IsAgain(d.Subject) { // the place of the copy, whose deliveries were counted anew
		a.Sequence, a.Try = 0, 0
	}
	tell(r.js, r.cfg.Names, consumer, ev, a, r.cfg.Logger)
}

// deadLetter returns nil when no dead letter is due.
func (r *Reaper) deadLetter(ctx context.Context, a advisory) (*nats.Msg, error) {
	names := r.cfg.Names
	durable, err := r.js.Consumer(ctx, names.EventsStream(), a.Consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), err == nil && durable.CachedInfo().Config.Durable == "":
		// An ephemeral consumer has no dead letters.
		return nil, nil
	case err != nil && !errors.Is(err, jetstream.ErrNotPullConsumer):
		return nil, fmt.Errorf("looking up durable %s: %w", a.Consumer, err)
	}
	m, err := streamread.GetFrom(ctx, r.js, names.EventsStream(), a.StreamSeq)
	if errors.Is(err, bridge.ErrNotFound) {
		r.cfg.Logger.Error("an event that was given up is not stored any more, so it has no dead letter",
			zap.String("consumer", a.Consumer), zap.Uint64("sequence", a.StreamSeq))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	header := bridge.Header(m.Header)
	deadLetter := bridge.DeadLetter{
		Consumer: a.Consumer, Cause: bridge.DeadTerminated, Error: cmp.Or(printable.Truncate(a.Reason, maxReason), "its program ended the delivery and gave no reason"),
		Attempts: int(min(a.Deliveries, 1<<31)), Subject: m.Subject, Sequence: m.Sequence,
	}
	if a.Type == advisoryExhausted {
		deadLetter.Cause = bridge.DeadExhausted
		deadLetter.Error = fmt.Sprintf("delivered %d times without an acknowledgement", deadLetter.Attempts)
	}
	deadLetter.Fault = deadLetter.Cause.Fault()
	if again, err := bridge.DecodeAgain(header); err == nil {
		deadLetter.Redrives = again.Redrives
	}
	id := bridge.UndecodableID(m.Subject, m.Data)
	if ev, err := bridge.DecodeEvent(header, m.Data); err == nil {
		id = ev.ID
	} else {
		deadLetter.Cause, deadLetter.Fault = bridge.DeadUndecodable, bridge.DeadUndecodable.Fault()
	}
	out := deadLetter.Header(header)
	out[bridge.HeaderMsgID] = []string{deadLetter.ID(id)}
	return &nats.Msg{Subject: names.Dead(bridge.EncodeToken(a.Consumer), m.Subject), Header: nats.Header(out), Data: m.Data}, nil
}

// settle acknowledges an event that the server stopped delivering. Until then the server counts
// it as redelivered, and package durables finds exhausted events without a dead letter by that
// count.
func (r *Reaper) settle(a advisory) error {
	if a.Type != advisoryExhausted {
		return nil
	}
	ack := fmt.Sprintf("$JS.ACK.%s.%s.%d.%d.0.0.0", a.Stream, a.Consumer, a.Deliveries, a.StreamSeq)
	if err := r.js.Conn().Publish(ack, []byte("+ACK")); err != nil {
		return fmt.Errorf("settling event %d of durable %s: %w", a.StreamSeq, a.Consumer, err)
	}
	return nil
}
