package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// durable is a reader of the stream of events that holds events back.
type durable struct {
	name    string // empty: stands for the absence of any durable
	created time.Time
	filters []string
	// next is the first sequence that the durable may still need.
	next uint64
	// waiting is how many events the durable has not handled.
	waiting uint64
}

// listDurables returns the durables, or one without a name if there are none and no views.
//
// A cluster omits from the list a durable whose leader did not answer in time. Treating such a
// durable as removed would lose its events, so every name of the separate list of names must be
// in the list of durables.
func (r *round) listDurables(ctx context.Context) ([]durable, error) {
	names := r.stream.ConsumerNames(ctx)
	missing := map[string]bool{}
	for name := range names.Name() {
		missing[name] = true
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("listing the names of consumers: %w", err)
	}
	var infos []*jetstream.ConsumerInfo
	lister := r.stream.ListConsumers(ctx)
	for info := range lister.Info() {
		delete(missing, info.Name)
		infos = append(infos, info)
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("listing consumers: %w", err)
	}
	for name := range missing {
		return nil, fmt.Errorf("consumer %s is missing in the server's list of consumers", name)
	}
	var out []durable
	for _, info := range infos {
		if info.Config.Durable == "" {
			continue
		}
		d, err := r.examine(ctx, info)
		if err != nil {
			return nil, fmt.Errorf("finding the position of durable %s: %w", info.Name, err)
		}
		out = append(out, d)
	}
	if len(out) == 0 && len(r.views) == 0 {
		nobody := durable{next: r.info.State.FirstSeq, waiting: r.info.State.Msgs}
		if err := r.skipRecorded(ctx, &nobody); err != nil {
			return nil, err
		}
		out = append(out, nobody)
	}
	return out, nil
}

func (r *round) examine(ctx context.Context, info *jetstream.ConsumerInfo) (durable, error) {
	d := durable{
		name: info.Name, created: info.Created, filters: streamread.Filters(info.Config),
		waiting: info.NumPending + uint64(info.NumAckPending),
	}
	from := info.AckFloor.Stream + 1
	if info.NumAckPending == 0 {
		// The floor does not follow events that the filter skips, nor an event that was
		// delivered as often as allowed. When no acknowledgement is pending, every delivered
		// event is settled.
		from = max(from, info.Delivered.Stream+1)
	}
	from = max(from, r.info.State.FirstSeq)
	var err error
	if d.next, err = r.nextMatching(ctx, d.filters, from, d.waiting); err != nil {
		return d, err
	}
	return d, r.skipRecorded(ctx, &d)
}

// nextMatching returns the first sequence from from on that one of filters matches, or the one
// after the last of the stream.
func (r *round) nextMatching(ctx context.Context, filters []string, from, waiting uint64) (uint64, error) {
	next := r.info.State.LastSeq + 1
	if from >= next {
		return next, nil
	}
	for _, filter := range filters {
		m, err := streamread.GetNextReadable(ctx, r.stream, from, filter)
		switch {
		case err == nil:
			next = min(next, m.Sequence)
			continue
		case !errors.Is(err, bridge.ErrNotFound):
			return 0, err
		case waiting == 0:
			continue // by the durable's own count
		}
		// The server also says "not found" of a message that it cannot read.
		count, err := streamread.Count(ctx, r.stream, []string{filter}, from)
		if err != nil {
			return 0, err
		}
		if count > 0 {
			return from, nil
		}
	}
	return next, nil
}

// firstSince returns the first sequence that may be stored at t or later.
func (r *round) firstSince(ctx context.Context, t time.Time) (uint64, error) {
	first, err := streamread.FirstReadableSince(ctx, r.stream, t)
	if err != nil {
		return 0, fmt.Errorf("looking for events of an age: %w", err)
	}
	return min(first, r.info.State.LastSeq+1), nil
}
