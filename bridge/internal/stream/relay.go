package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// directTime is the most time for an acknowledgement of NATS before the spool has its turn;
	// with a short deadline it is directShare of the rest.
	directTime  = 1200 * time.Millisecond
	directShare = 0.4
)

// RelayConfig of a [Relay]. Zero values are defaults.
type RelayConfig struct {
	Names bridge.Names
	// Local stores in the spool first, always: for a NATS that acknowledges before it syncs.
	Local bool
}

// Relay makes messages durable in an external NATS or, while NATS does not acknowledge in time,
// in a spool on this machine. From there they go to NATS later, under the same message id. It
// is safe for concurrent use.
//
// A message that NATS did not acknowledge may be stored there nevertheless: a connection can
// break before the answer. The spooled copy is then a duplicate, if it arrives within the
// duplicate window of the stream.
type Relay struct {
	cfg     RelayConfig
	others  []jetstream.JetStream
	direct  *Publisher
	spool   *Spool
	drainer *Drainer
	breaker breaker
	alarms  bridge.Alarmer
	log     *zap.Logger

	stop context.CancelFunc
	done chan struct{}
}

// NewRelay returns a relay to direct and starts to drain the spool. It must be closed before
// the spool. When the connection of direct is made anew because its server does not serve, so
// are those of others to that server.
func NewRelay(direct *Publisher, others []jetstream.JetStream, spool *Spool, cfg RelayConfig, alarms bridge.Alarmer, log *zap.Logger) *Relay {
	ctx, stop := context.WithCancel(context.Background())
	r := &Relay{
		cfg: cfg, others: others, direct: direct, spool: spool, drainer: NewDrainer(spool, direct, alarms, log),
		alarms: alarms, log: log.Named("relay"), stop: stop, done: make(chan struct{}),
	}
	r.drainer.said = r.heard
	go func() {
		defer close(r.done)
		_ = r.drainer.Run(ctx) // returns only when ctx ends, without an error
	}()
	return r
}

// Publish is [Publisher.Publish], with the spool behind it. The receipt's result is
// bridge.Spooled for a spooled event.
func (r *Relay) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return r.Store(ctx, r.cfg.Names.EventsStream(), eventMessage(r.cfg.Names, e))
}

// Store implements [Storer]. NATS gets a share of ctx's time, and the spool the rest.
func (r *Relay) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	var refused error
	if r.tryDirect() {
		receipt, err := r.storeDirect(ctx, stream, m)
		if err == nil || errors.Is(err, bridge.ErrTooLarge) || r.direct.fullBesideEvents(stream, err) {
			return receipt, err
		}
		refused = err
	}
	receipt, err := r.spool.Store(ctx, stream, m)
	if errors.Is(err, bridge.ErrFull) {
		r.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmSpoolFull,
			Text: "NATS takes nothing and the spool is full, webhooks are refused: bring NATS back, or raise nats.spool.max_bytes and restart",
		})
	}
	if err != nil {
		// With the answer of NATS, which decides what is known of the message.
		return bridge.Receipt{}, errors.Join(err, refused)
	}
	return receipt, nil
}

func (r *Relay) conn() *nats.Conn { return r.direct.js.Conn() }

func (r *Relay) tryDirect() bool {
	return !r.cfg.Local && r.conn().IsConnected() && r.breaker.allow(time.Now(), r.drainer.Pending())
}

func (r *Relay) storeDirect(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	share := directTime
	if deadline, ok := ctx.Deadline(); ok {
		share = min(share, time.Duration(directShare*float64(time.Until(deadline))))
	}
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	receipt, err := r.direct.Store(ctx, stream, m)
	if r.direct.fullBesideEvents(stream, err) {
		r.heard(nil) // it serves
	} else {
		r.heard(err)
	}
	return receipt, err
}

// heard learns from NATS's answer to a message, or the lack of one.
func (r *Relay) heard(err error) {
	if err == nil || errors.Is(err, bridge.ErrTooLarge) {
		r.breaker.succeeded()
		return
	}
	r.unserved(err)
}

// Unserved tells the relay that NATS, although connected, failed at something other than a
// message, such as looking up a stream.
func (r *Relay) Unserved(err error) { r.unserved(err) }

// unserved counts a failure. A client of a server that is cut off from its cluster stays
// connected to that server until it is told to leave.
func (r *Relay) unserved(err error) {
	move := r.breaker.failed(time.Now())
	if !move || !r.conn().IsConnected() || errors.Is(err, bridge.ErrFull) || errors.Is(err, errNotFit) {
		return
	}
	server := r.conn().ConnectedServerId()
	r.log.Warn("NATS is connected and does not serve: trying another server",
		zap.String("server", r.conn().ConnectedServerName()), zap.Error(err))
	for _, js := range append([]jetstream.JetStream{r.direct.js}, r.others...) {
		nc := js.Conn()
		if nc.ConnectedServerId() != server {
			continue
		}
		if err := nc.ForceReconnect(); err != nil {
			r.log.Error("the connection cannot be made anew", zap.Error(err))
		}
	}
}

// Available reports whether NATS takes messages, as far as known.
func (r *Relay) Available() bool { return r.conn().IsConnected() && !r.breaker.open() }

// Close ends the draining, after trying for at most patience to empty the spool if NATS is
// reachable. The next process drains the rest.
func (r *Relay) Close(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r.Available() {
		r.waitEmpty(ctx)
	}
	r.stop()
	<-r.done
	if state, err := r.spool.State(context.Background()); err == nil && state.Messages > 0 {
		r.log.Warn("the spool still holds events, which go to NATS when a bridge runs on this folder again, or with hookspan spool drain",
			zap.Uint64("events", state.Messages))
	}
}

// waitEmpty returns when the spool holds nothing that NATS takes, when NATS is away, or when
// ctx ends.
func (r *Relay) waitEmpty(ctx context.Context) {
	for r.Available() {
		state, err := r.spool.State(ctx)
		if err != nil || state.Messages <= state.Stuck+r.drainer.left.Load() || !backoff.Sleep(ctx, 20*time.Millisecond) {
			return
		}
	}
}
