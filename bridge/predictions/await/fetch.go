package await

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/predictions"
	"github.com/hookspan/hookspan/bridge/stored"
)

const (
	// maxFetches bounds how many events are read at a time.
	maxFetches   = 64
	fetchTimeout = 2 * time.Second
	// A replica that answers can be behind the one that told of the event.
	fetchAttempts = 4
	fetchPause    = 5 * time.Millisecond
)

// fetched is an event in its stream. Several waiters share it.
type fetched struct {
	event *bridge.Event
	at    predictions.At
}

// fetch reads one event, once for all who want it now.
func (h *Hub) fetch(ctx context.Context, sequence uint64) (fetched, error) {
	shared := h.fetches.DoChan(strconv.FormatUint(sequence, 10), func() (any, error) {
		// It is not the first one's alone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return h.read(ctx, sequence)
	})
	select {
	case r := <-shared:
		if r.Err != nil {
			return fetched{}, r.Err
		}
		return r.Val.(fetched), nil
	case <-ctx.Done():
		return fetched{}, ctx.Err()
	}
}

func (h *Hub) read(ctx context.Context, sequence uint64) (fetched, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return fetched{}, ctx.Err()
	}
	h.mu.Lock()
	stream := h.events
	h.mu.Unlock()
	var m *jetstream.RawStreamMsg
	var err error
	for range fetchAttempts {
		if m, err = stored.Get(ctx, stream, sequence); !errors.Is(err, bridge.ErrNoEntry) {
			break
		}
		pause(ctx, fetchPause)
	}
	if err != nil {
		return fetched{}, err
	}
	return decode(m)
}

func decode(m *jetstream.RawStreamMsg) (fetched, error) {
	e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	if err != nil {
		return fetched{}, fmt.Errorf("reading event %d: %w", m.Sequence, err)
	}
	e.Subject, e.Sequence = m.Subject, m.Sequence
	return fetched{event: e, at: predictions.At{Sequence: m.Sequence, StoredAt: m.Time}}, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
