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
	// blockMessages and blockBytes bound the events that are folded at once, readAhead
	// what is in memory beside them, in bytes.
	blockMessages = 1000
	blockBytes    = 8 << 20
	readAhead     = 16 << 20

	// shortestRequest is the shortest that the client can make.
	shortestRequest = time.Second

	// gather is for how long a block takes the events that come after its first one:
	// each block costs a look into the prediction store and a sync, and nobody waits for it, since
	// who waits for a prediction hears of its events. At least it waits rest for the next
	// one, and stalled when the server has said that there are more.
	gather  = 50 * time.Millisecond
	rest    = time.Millisecond
	stalled = 250 * time.Millisecond
)

// delivered is an event as the durable delivers it.
type delivered struct {
	jetstream.Msg

	meta *jetstream.MsgMetadata
}

// feed reads the events of the durable in their order, each once. It belongs to one
// goroutine.
type feed struct {
	it jetstream.MessagesContext
	// delivery is the number of the last delivery, last the sequence of the last event.
	delivery uint64
	last     uint64
	folded   *atomic.Uint64 // the last event that is in the prediction store
}

// newFeed reads what the durable, of which nothing is unacknowledged, delivers next.
// Should this process hang, the server has events for it for as long as each request
// stands, and for nobody else.
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

// errMissing ends a leadership, and the next one reads from where the prediction store is. It happens to
// a process that follows another one, to whose last request the server gave an event.
var errMissing = errors.New("a delivery is missing")

func (f *feed) stop() { f.it.Stop() }

// block waits for an event and takes those behind it that are there already.
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
			// What lies between went to somebody who has it no more, and would come
			// again behind newer ones.
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
			// It is delivered again: its acknowledgement was lost, or is yet to come.
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
