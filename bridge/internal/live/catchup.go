package live

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// stretch is how many messages of the past are read at once for one client.
	stretch = 200
	// stretchTimeout bounds that.
	stretchTimeout = 10 * time.Second
)

// catchUp tells a client that comes again what it has missed, from the stream itself, until it
// has a place in the ring. The error is that of ctx or of tell.
func (w *follower) catchUp(ctx context.Context) error {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for !w.placed && ctx.Err() == nil {
		items, err := w.readPast(ctx)
		if err == nil {
			retry.Reset()
		}
		if len(items) > 0 || err != nil && ctx.Err() == nil { // with no items: the client is still there
			if err := w.tell(items); err != nil {
				return err
			}
		}
		if err != nil {
			backoff.Sleep(ctx, retry.Next())
		}
	}
	return ctx.Err()
}

var errReachedRing = errors.New("what follows is in the ring")

// readPast reads the next stretch, and moves the client's place with it.
func (w *follower) readPast(ctx context.Context) (items []adminapi.LiveItem, err error) {
	select {
	case w.catchUps <- struct{}{}:
		defer func() { <-w.catchUps }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, stretchTimeout)
	defer cancel()
	stream, err := streamread.Open(ctx, w.js, w.stream)
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	w.mu.Lock()
	from, end := w.feed.from, w.feed.last
	w.mu.Unlock()
	gap := func(cause string, until, count uint64) []adminapi.LiveItem {
		items = append(items, leftOut(adminapi.LiveGap, adminapi.LeftOut{LeftOut: count, After: min(w.at, until), Until: until, Cause: cause}))
		w.at = until
		return items
	}
	switch {
	case w.at > state.LastSeq:
		w.placed = true
		return gap(adminapi.GapAnew, end, 0), nil
	case w.at > end: // the reader is not there yet
		w.placed = true
		return nil, nil
	case w.at >= from:
		w.past, w.placed = end, true
		return nil, nil
	case w.at+1 < state.FirstSeq:
		return gap(adminapi.GapGone, state.FirstSeq-1, state.FirstSeq-1-w.at), nil
	}
	r, err := streamread.NewReader(ctx, w.js, streamread.ReaderConfig{
		Stream: w.stream, Subjects: w.subjects, After: w.at, HeadersOnly: w.headersOnly, Description: description,
	})
	if err != nil {
		return nil, err
	}
	defer r.Close(ctx)
	n := min(stretch, w.limits.catchUp-w.told, w.limits.examined-w.examined)
	switch {
	case r.Pending() == 0:
		w.at = end
		return nil, nil
	case n <= 0:
		return gap(adminapi.GapBehind, end, r.Pending()), nil
	case r.Pending() < uint64(n): //nolint:gosec // positive
		n = int(r.Pending()) //nolint:gosec // bounded
	}
	err = r.Fetch(ctx, n, 0, restWait, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
		if meta.Sequence.Stream > end {
			return errReachedRing
		}
		w.at = meta.Sequence.Stream
		w.examined++
		if got, ok := w.decode(meta, m); ok && w.match(&got) {
			w.told++
			items = append(items, adminapi.LiveItem{Name: got.name, Sequence: got.seq, Data: got.data})
		}
		return nil
	})
	if errors.Is(err, errReachedRing) || err == nil && r.Pending() == 0 {
		w.at, err = max(w.at, end), nil
	}
	return items, err
}
