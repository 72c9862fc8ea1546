package await

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// firstRestart and lastRestart bound the pause after a failed subscription.
	firstRestart     = 50 * time.Millisecond
	lastRestart      = 5 * time.Second
	subscribeTimeout = 5 * time.Second
	pullExpiry       = 30 * time.Second
	// maxAhead bounds the bytes of unhandled messages; twice the largest message is allowed
	// too.
	maxAhead         = 8 << 20
	maxProgressAhead = 4096
	maxProgressBytes = 4 << 20
)

// feed is a hub's subscriptions.
type feed struct {
	cancel context.CancelFunc
	ready  chan struct{} // closed when all subscriptions first exist
	ended  chan struct{}
	idle   *time.Timer // runs while nobody waits
}

// listen starts a feed. The caller holds the lock.
func (h *Hub) listen() *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{cancel: cancel, ready: make(chan struct{}), ended: make(chan struct{}), idle: time.NewTimer(h.idleTimeout)}
	h.done.Go(func() {
		defer close(f.ended)
		defer cancel()
		h.run(ctx, f)
	})
	return f
}

// run keeps the subscriptions until nobody has waited for idleTimeout, or ctx ends. After
// each interruption every waiter reads the view.
func (h *Hub) run(ctx context.Context, f *feed) {
	nc := h.js.Conn()
	changes := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer func() { nc.RemoveStatusListener(changes) }()
	defer f.idle.Stop()
	restart, first := backoff.Backoff{First: firstRestart, Max: lastRestart}, true
	for {
		if now := h.js.Conn(); now != nc { // the old connection was closed for good
			nc.RemoveStatusListener(changes)
			nc, changes = now, now.StatusChanged(nats.CONNECTED, nats.CLOSED)
		}
		began := time.Now()
		trouble := make(chan error, 1)
		stop, err := h.subscribe(ctx, trouble)
		if err == nil {
			if first {
				close(f.ready) // waiters read the view after this
				first = false
			} else {
				h.tellAll()
			}
			err = h.attend(ctx, f, changes, trouble)
			stop()
		}
		if err == nil || ctx.Err() != nil || h.unlisten(f) {
			return
		}
		if time.Since(began) > lastRestart {
			restart.Reset()
		}
		wait := restart.Next()
		h.log.Warn("events of predictions that somebody waits for may come late: they are not listened to now, trying again", zap.Duration("in", wait), zap.Error(err))
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changes:
		case <-again.C:
		}
		again.Stop()
	}
}

var errReconnected = errors.New("the connection to NATS was lost for a while")

// attend returns nil when the feed is to end, or why its subscriptions must be made anew:
// no server tells which messages were lost.
func (h *Hub) attend(ctx context.Context, f *feed, changes <-chan nats.Status, trouble <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-trouble:
			return err
		case <-changes:
			return errReconnected
		case <-f.idle.C:
			if h.unlisten(f) {
				return nil
			}
		}
	}
}

// unlisten ends the feed unless somebody waits.
func (h *Hub) unlisten(f *feed) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count > 0 {
		return false
	}
	if h.feed == f {
		h.feed = nil
	}
	return true
}

// subscribe listens to events and progress. Trouble is told of later failures.
func (h *Hub) subscribe(ctx context.Context, trouble chan<- error) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	end, err := h.consume(ctx, h.names.EventsStream(), h.names.AllEvents(), h.eventStored, trouble)
	if err != nil {
		return nil, err
	}
	progress, err := h.js.Conn().Subscribe(h.names.AllProgress(), h.progressTold)
	if err == nil {
		err = progress.SetPendingLimits(maxProgressAhead, maxProgressBytes)
	}
	if err != nil {
		end()
		return nil, err
	}
	return func() { end(); _ = progress.Unsubscribe() }, nil
}

func (h *Hub) eventStored(meta *jetstream.MsgMetadata, m jetstream.Msg) {
	// Waiters ignore messages that are no events.
	if e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data()); err == nil {
		told := storedEvent{e, fold.At{Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp.UTC()}}
		h.tell(keyOf(e.Source, e.PredictionID), func(n *note) { n.add(told) })
	}
}

func (h *Hub) progressTold(m *nats.Msg) {
	key := strings.TrimPrefix(m.Subject, strings.TrimSuffix(h.names.AllProgress(), ">"))
	h.mu.Lock()
	wanted := len(h.waiters[key]) > 0
	h.mu.Unlock()
	if !wanted {
		return
	}
	if p, err := bridge.ParseProgress(m.Data); err == nil {
		h.tell(key, func(n *note) { n.progress = p })
	}
}
