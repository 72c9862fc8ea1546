package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge/config"
)

const (
	// lookEvery is how often the store is checked; /readyz can be later by lookTimeout, after
	// which a webhook is not acknowledged either.
	lookEvery   = time.Second
	lookTimeout = 5 * time.Second
	// roomForOne is the size of an ordinary webhook in a stream, in bytes.
	roomForOne = 4 << 10
)

// storeWatch knows why no event can be stored. It checks by itself from time to time, so that no
// request waits for the store.
type storeWatch struct {
	*store

	// local: only the spool takes webhooks.
	local bool
	known atomic.Pointer[string]
}

func newStoreWatch(s *store) *storeWatch {
	w := &storeWatch{store: s, local: s.cfg.Ingress.Ack == config.AckLocal && s.relay != nil}
	first := "nothing can be stored: nobody has looked at the store yet"
	w.known.Store(&first)
	return w
}

// reason is an [admin.Check].
func (w *storeWatch) reason() string { return *w.known.Load() }

func (w *storeWatch) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if reason := w.look(ctx); ctx.Err() == nil {
			w.known.Store(&reason)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look returns "" when NATS or the spool can store events.
func (w *storeWatch) look(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var reasons []string
	if !w.local {
		reason := w.streamReason(ctx)
		if reason == "" {
			return ""
		}
		reasons = append(reasons, reason)
	}
	if w.relay != nil {
		reason := w.spoolReason(ctx)
		if reason == "" {
			return ""
		}
		reasons = append(reasons, reason)
	}
	return "nothing can be stored: " + strings.Join(reasons, ", and ")
}

func (w *storeWatch) streamReason(ctx context.Context) string {
	if w.embedded != nil {
		return w.embeddedReason(ctx)
	}
	return w.externalReason()
}

const unfit = "the stream of events is missing or cannot keep what is promised, the log says why"

func (w *storeWatch) externalReason() string {
	switch {
	case !w.publish.Conn().IsConnected():
		return "there is no connection to the NATS at nats.url"
	case !w.publisher.Fit():
		return unfit
	case w.relay != nil && !w.relay.Available():
		return "NATS is connected and acknowledges nothing"
	}
	return ""
}

func (w *storeWatch) embeddedReason(ctx context.Context) string {
	if w.embedded.Frozen() != nil {
		return "the event store cannot write to its disk"
	}
	if !w.publisher.Fit() {
		return unfit
	}
	stream, err := w.publish.Stream(ctx, w.cfg.Names().EventsStream())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return unfit
	case err != nil:
		return "the embedded NATS does not answer"
	}
	if info := stream.CachedInfo(); info.State.Bytes+roomForOne > uint64(info.Config.MaxBytes) {
		return "the stream of events is full"
	}
	return ""
}

func (w *storeWatch) spoolReason(ctx context.Context) string {
	state, err := w.spool.State(ctx)
	switch {
	case err != nil:
		return "the spool does not answer"
	case state.Bytes+roomForOne > uint64(state.MaxBytes):
		return "the spool is full"
	}
	return ""
}
