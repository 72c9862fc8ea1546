package durablerepair

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookspan/hookspan/internal/streamread"
)

// safePosition returns where a durable without a state restarts: the greatest sequence such
// that everything before it is known to be handled, or not for the durable. It ignores a
// position beyond the end of the stream, which is garbage or of another stream.
func (r *Repairer) safePosition(ctx context.Context, stream *streamread.Stream, f *foundDurable) (uint64, error) {
	state, info := stream.CachedInfo().State, f.info
	if r.cfg.Position != nil {
		if seq, ok := r.cfg.Position(f.stream, f.name); ok && seq > 0 && seq <= state.LastSeq+1 {
			return seq, nil
		}
	}
	if f.state.delivered > 0 && f.state.ackFloor <= state.LastSeq {
		return f.state.ackFloor + 1, nil // only the delivered sequence is absurd
	}
	since := func(t time.Time) (uint64, error) { return streamread.FirstSince(ctx, stream, t) }
	switch {
	case f.meta == nil:
	case info.DeliverPolicy == server.DeliverByStartSequence && info.OptStartSeq > 0 && info.OptStartSeq <= state.LastSeq:
		return info.OptStartSeq, nil
	case info.DeliverPolicy == server.DeliverByStartTime && info.OptStartTime != nil && info.OptStartTime.Before(time.Now()):
		return since(*info.OptStartTime)
	case info.DeliverPolicy == server.DeliverNew && !info.Created.IsZero():
		return since(info.Created)
	}
	return 1, nil // the server skips missing sequences
}
