package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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

	known atomic.Pointer[string]
}

func newStoreWatch(s *store) *storeWatch {
	w := &storeWatch{store: s}
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

// look returns "" when the journal or the stream can store events.
func (w *storeWatch) look(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var reasons []string
	if w.keeper != nil {
		reason := w.journalReason() //nolint:contextcheck // the disk is waited for
		if reason == "" {
			return ""
		}
		reasons = append(reasons, reason)
	}
	reason := w.streamReason(ctx)
	if reason == "" && w.keeper != nil && w.forwarder.Stuck() {
		reason = "NATS does not take what is in the journal"
	}
	if reason == "" {
		return ""
	}
	return "nothing can be stored: " + strings.Join(append(reasons, reason), ", and ")
}

func (w *storeWatch) streamReason(ctx context.Context) string {
	if w.embedded != nil {
		return w.embeddedReason(ctx)
	}
	return w.externalReason()
}

func (w *storeWatch) journalReason() string {
	state := w.journal.State()
	if state.Writing > lookTimeout {
		return "the disk of the journal does not answer"
	}
	if state.Failure != "" && w.journal.Begin() != nil { // nobody may come to try it again
		return "the journal cannot be written"
	}
	if state.Bytes+state.SetAsideBytes+roomForOne > state.MaxBytes {
		return "the journal is full"
	}
	return ""
}

const unfit = "the stream of events is missing or cannot keep what is promised, the log says why"

func (w *storeWatch) externalReason() string {
	switch {
	case !w.publish.Conn().IsConnected():
		return "there is no connection to the NATS at nats.url"
	case !w.publisher.Fit():
		return unfit
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
