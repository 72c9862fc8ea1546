package durables

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// waitsSince is when the first event was stored that waits behind a place.
type waitsSince struct {
	behind uint64
	at     time.Time
}

// measureOldest measures for how long the first event has been stored that each consumer has not
// settled. It asks the stream only of consumers that have gone on, since the answer carries the
// event's body. A consumer of which that is not known now has no value.
func (w *Watch) measureOldest(ctx context.Context, states []adminapi.ConsumerState) {
	known := w.waits
	w.waits = map[string]waitsSince{} // without removed consumers
	for _, s := range states {
		if s.Outstanding() == s.Later {
			w.oldestWaiting.WithLabelValues(s.Name).Set(0)
			continue
		}
		since, ok := known[s.Name]
		if !ok || since.behind != s.Acknowledged {
			stream, err := w.durables.stream(ctx)
			if err != nil {
				continue
			}
			since = waitsSince{s.Acknowledged, firstBehind(ctx, stream, s)}
		}
		if since.at.IsZero() {
			continue
		}
		w.waits[s.Name] = since
		w.oldestWaiting.WithLabelValues(s.Name).Set(max(0, time.Since(since.at).Seconds()))
	}
}

// firstBehind returns zero for what cannot be read; the next look tries again.
func firstBehind(ctx context.Context, stream *streamread.Stream, s adminapi.ConsumerState) (at time.Time) {
	filters := s.Filter
	if len(filters) == 0 {
		filters = []string{">"}
	}
	first := uint64(0)
	for _, filter := range filters {
		m, err := streamread.GetNextReadable(ctx, stream, s.Acknowledged+1, filter)
		if err == nil && (first == 0 || m.Sequence < first) {
			first, at = m.Sequence, m.Time
		}
	}
	return at
}
