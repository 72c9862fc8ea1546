package queue

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge/stored"
)

// safePosition is the sequence with which a durable that has lost its state begins
// again: the greatest of which it is known that everything before it was handled, or
// was never meant for it. Known is what was seen of it last; it may be nil. Info is
// the durable's configuration, empty when that is lost too.
func (d *durables) safePosition(ctx context.Context, stream jetstream.Stream, durable string, info server.FileConsumerInfo) (uint64, error) {
	state := stream.CachedInfo().State
	if d.position != nil {
		if seq, ok := d.position(stream.CachedInfo().Config.Name, durable); ok && seq > 0 && seq <= state.LastSeq+1 {
			return seq, nil
		}
	}
	since := func(t time.Time) (uint64, error) { return stored.FirstSince(ctx, stream, t) }
	switch {
	case info.Durable == "":
	case info.DeliverPolicy == server.DeliverByStartSequence && info.OptStartSeq > 0 && info.OptStartSeq <= state.LastSeq:
		return info.OptStartSeq, nil
	case info.DeliverPolicy == server.DeliverByStartTime && info.OptStartTime != nil && info.OptStartTime.Before(time.Now()):
		return since(*info.OptStartTime)
	case info.DeliverPolicy == server.DeliverNew && !info.Created.IsZero():
		return since(info.Created)
	}
	return 1, nil // it skips what the stream has lost by itself
}
