package predictions

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// blockMessages and blockBytes bound one block of events; readAhead, in bytes, bounds
	// the events in memory beside it.
	blockMessages = 1000
	blockBytes    = 8 << 20
	readAhead     = 16 << 20

	// shortestRequest is the client library's minimum.
	shortestRequest = time.Second

	// gather is how long a block waits for more events after its first one: each block
	// costs a read and a sync of the prediction store, and clients that wait read the
	// events themselves. A block waits at least rest for the next event, and stalled when
	// the server has said that there are more.
	gather  = 50 * time.Millisecond
	rest    = time.Millisecond
	stalled = 250 * time.Millisecond
)

type delivered struct {
	jetstream.Msg

	meta *jetstream.MsgMetadata
}

// feed reads the durable's events in order, each once. It belongs to one goroutine.
type feed struct {
	it jetstream.MessagesContext
	// delivery is the number of the last delivery, last the sequence of the last event.
	delivery uint64
	last     uint64
	folded   *atomic.Uint64 // the last event in the prediction store
}

// newFeed reads from a durable without unacknowledged events. If this process hangs, the
// server keeps events for it while a request stands, and for no other process.
func newFeed(c jetstream.Consumer, request time.Duration, folded *atomic.Uint64) (*feed, error) {
	info := c.CachedInfo()
	if info.NumAckPending > 0 {
		return nil, fmt.Errorf("another process still reads by the durable of the prediction store, which has %d events unacknowledged", info.NumAckPending)
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(blockMessages, readAhead), jetstream.PullExpiry(max(request, shortestRequest)))
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	return &feed{it: it, delivery: info.Delivered.Consumer, folded: folded}, nil
}

// errMissing ends a leadership; the next one reads on behind the last folded event. It
// happens when the server gave an event to the last request of an earlier leader.
var errMissing = errors.New("a delivery is missing")

func (f *feed) stop() { f.it.Stop() }

// block waits for an event and takes the available ones behind it.
func (f *feed) block(ctx context.Context) ([]delivered, error) {
	var block []delivered
	bytes := 0
	waiting := jetstream.NextContext(ctx)
	var until time.Time
	for len(block) < blockMessages && bytes < blockBytes {
		m, err := f.it.Next(waiting)
		switch {
		case len(block) > 0 && errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoHeartbeat) && len(block) > 0:
			return block, nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue
		case err != nil:
			return nil, fmt.Errorf("reading events: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading events: %w", err)
		}
		if f.delivery++; meta.Sequence.Consumer != f.delivery {
			// The missing delivery went to a process that is gone, and would come again
			// behind newer ones.
			return nil, fmt.Errorf("reading events: %w: delivery %d", errMissing, f.delivery)
		}
		if len(block) == 0 {
			until = time.Now().Add(gather)
		}
		waiting = jetstream.NextMaxWait(max(rest, time.Until(until)))
		if meta.NumPending > 0 {
			waiting = jetstream.NextMaxWait(stalled)
		}
		if meta.Sequence.Stream <= f.last {
			// A redelivery: the acknowledgement was lost or is still to come.
			if meta.Sequence.Stream <= f.folded.Load() {
				if err := m.Ack(); err != nil {
					return nil, fmt.Errorf("acknowledging events: %w", err)
				}
			}
			continue
		}
		f.last = meta.Sequence.Stream
		block = append(block, delivered{m, meta})
		bytes += len(m.Data())
	}
	return block, nil
}
