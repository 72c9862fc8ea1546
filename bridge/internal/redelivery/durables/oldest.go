package durables

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// waitsSince is when the first event was stored that waits behind a place.
type waitsSince struct {
	behind uint64
	at     time.Time
}

// oldest returns when the first event was stored that the consumer has not settled, zero when
// none waits with its durable. It asks the stream only when the consumer has gone on, since the
// answer carries the event's body.
func (w *Watch) oldest(ctx context.Context, s adminapi.ConsumerState) time.Time {
	if s.Outstanding() == s.Later {
		delete(w.waits, s.Name)
		return time.Time{}
	}
	if known, ok := w.waits[s.Name]; ok && known.behind == s.Acknowledged && !known.at.IsZero() {
		return known.at
	}
	next := waitsSince{behind: s.Acknowledged}
	if stream, err := w.durables.stream(ctx); err == nil {
		next.at = firstBehind(ctx, stream, s)
	}
	w.waits[s.Name] = next
	return next.at
}

// firstBehind returns zero for what cannot be read; the next look tries again.
func firstBehind(ctx context.Context, stream jetstream.Stream, s adminapi.ConsumerState) (at time.Time) {
	filters := s.Filter
	if len(filters) == 0 {
		filters = []string{">"}
	}
	first := uint64(0)
	for _, filter := range filters {
		m, err := streamread.GetReadable(ctx, stream, s.Acknowledged+1, jetstream.WithGetMsgSubject(filter))
		if err == nil && (first == 0 || m.Sequence < first) {
			first, at = m.Sequence, m.Time
		}
	}
	return at
}
