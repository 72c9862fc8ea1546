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
	// directTime is the most that NATS gets for an acknowledgement before the
	// spool has its turn; with a short deadline it gets directShare of what is
	// left.
	directTime  = 1200 * time.Millisecond
	directShare = 0.4
)

// RelayConfig of a [Relay]. Zero values are defaults.
type RelayConfig struct {
	Names bridge.Names
	// Local stores in the spool first, always: for a NATS that acknowledges
	// before it syncs.
	Local bool
}

// Relay makes messages durable in an external NATS or, while that does not
// acknowledge them in time, in a spool on this machine, from where they go to
// NATS later, under the same message id. It is safe for concurrent use.
//
// Whatever NATS did not acknowledge may still be stored there: a connection can
// break between the message and its answer. The spooled copy is then a duplicate,
// as long as it arrives within the duplicate window of the stream.
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

// NewRelay returns a relay to direct and starts draining the spool. It must be
// closed before the spool is. Of the connections of others, those to a server
// that does not serve are made anew together with that of direct.
func NewRelay(direct *Publisher, others []jetstream.JetStream, spool *Spool, cfg RelayConfig, alarms bridge.Alarmer, log *zap.Logger) *Relay {
	ctx, stop := context.WithCancel(context.Background())
	r := &Relay{
		cfg: cfg, others: others, direct: direct, spool: spool, drainer: NewDrainer(spool, direct, alarms, log),
		alarms: alarms, log: log.Named("relay"), stop: stop, done: make(chan struct{}),
	}
	r.drainer.said = r.heard
	go func() {
		defer close(r.done)
		_ = r.drainer.Run(ctx) // it ends with ctx alone, without an error
	}()
	return r
}

// Publish is [Publisher.Publish], with the spool behind it. The receipt's result
// is bridge.Spooled for an event that is on its way.
func (r *Relay) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return r.Store(ctx, r.cfg.Names.EventsStream(), eventMessage(r.cfg.Names, e))
}

// Store implements [Storer]. Of ctx's time NATS gets a share and the spool the
// rest.
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
		// What NATS said too, since it decides what is known of the message.
		return bridge.Receipt{}, errors.Join(err, refused)
	}
	return receipt, nil
}

// conn is the connection to NATS as it is now.
func (r *Relay) conn() *nats.Conn { return r.direct.js.Conn() }

// tryDirect reports whether it makes sense to ask NATS.
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

// heard learns from what NATS said to a message, or did not say.
func (r *Relay) heard(err error) {
	if err == nil || errors.Is(err, bridge.ErrTooLarge) {
		r.breaker.succeeded()
		return
	}
	r.unserved(err)
}

// Unserved tells the relay that NATS, although connected, failed at something
// else than a message, such as a question about a stream.
func (r *Relay) Unserved(err error) { r.unserved(err) }

// unserved counts a failure. A client of a server that is cut off from its
// cluster stays with it for ever unless it is told to leave.
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

// Available reports whether NATS takes messages, as far as it is known.
func (r *Relay) Available() bool { return r.conn().IsConnected() && !r.breaker.open() }

// Close ends the draining, after a last attempt to empty the spool that takes at
// most patience, if NATS can be reached. What is left is drained by the next
// process.
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

// waitEmpty returns when the spool holds nothing that NATS takes, when NATS is
// away, or when ctx ends.
func (r *Relay) waitEmpty(ctx context.Context) {
	for r.Available() {
		state, err := r.spool.State(ctx)
		if err != nil || state.Messages <= state.Stuck+r.drainer.left.Load() || !backoff.Sleep(ctx, 20*time.Millisecond) {
			return
		}
	}
}
