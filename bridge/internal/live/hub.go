// Package live tells any number of clients what is stored in a stream as it is stored, with one
// reader for all of them.
package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// idleTimeout is how long a stream is read when nobody listens, for those who come again.
	idleTimeout = time.Minute
	// maxCatchUps bounds the clients that read the stream by themselves at once.
	maxCatchUps = 4
)

var (
	// ErrClosed ends those who follow when the process stops.
	ErrClosed = errors.New("live streams have ended, the process stops")
	// ErrSlow ends a client that does not read as fast as it is told.
	ErrSlow = errors.New("the client does not read")
)

// config is what a hub reads, and its limits.
type config struct {
	js              jetstream.JetStream
	stream, subject string
	headersOnly     bool
	// decode returns false for a message that nobody is told of.
	decode func(meta *jetstream.MsgMetadata, m jetstream.Msg) (message, bool)
	log    *zap.Logger
	limits limits
}

type limits struct {
	idle, heartbeat time.Duration
	// gather is the least time between two reads of the stream, and pace that between two writes
	// to one client: a write costs as much for one message as for fifty. Who has been told
	// nothing for so long is told at once.
	gather, pace time.Duration
	// batch is how many messages one read takes. A reader that is more than behind messages
	// late leaves them out, at most once in jumpEvery.
	batch     int
	behind    uint64
	jumpEvery time.Duration
	// ringMessages and ringBytes bound what the hub holds for all clients together.
	ringMessages, ringBytes int
	// burst is how many seconds of its rate a client is told at once.
	burst int
	// catchUp bounds what a client that comes again is told of the past, and examined what is
	// looked at for that.
	catchUp, examined int
}

var standard = limits{
	idle: idleTimeout, heartbeat: 15 * time.Second, gather: 100 * time.Millisecond, pace: 250 * time.Millisecond,
	batch: 100, behind: 2000, jumpEvery: time.Second, ringMessages: 2048, ringBytes: 4 << 20, burst: 2, catchUp: 1000, examined: 10_000,
}

// message is one message of the stream, encoded once for all clients.
type message struct {
	seq     uint64
	subject string
	event   *bridge.Event // only what filters look at
	alarm   *bridge.Alarm
	name    string
	data    []byte
}

// size is about what the message takes in memory.
func (m *message) size() int { return 2*len(m.data) + 512 }

// hub reads one stream while somebody listens. It is safe for concurrent use.
type hub struct {
	config

	dropped  atomic.Uint64
	catchUps chan struct{} // one for each in flight
	done     sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners int
	feed      *feed // nil: nobody reads
}

// feed is one time of reading, from the first listener until nobody has listened for a while.
type feed struct {
	ctx    context.Context
	cancel context.CancelFunc
	idle   *time.Timer // nil while somebody listens

	// The rest is guarded by the hub's lock. The ring has the messages behind from, up to last;
	// its elements never change. A new generation begins when sequences begin again.
	ready      bool
	generation int
	from, last uint64
	ring       []message
	bytes      int
	created    time.Time     // of the stream
	stored     time.Time     // of the message last, zero when it is unknown
	changed    chan struct{} // closed at the next change
}

func newHub(cfg config) *hub {
	return &hub{config: cfg, catchUps: make(chan struct{}, maxCatchUps)}
}

// close ends all clients, and returns when the hub has stopped reading.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	if f := h.feed; f != nil {
		f.cancel()
		if f.idle != nil {
			f.idle.Stop()
		}
	}
	h.mu.Unlock()
	h.done.Wait()
}

func (h *hub) join() (*feed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	h.listeners++
	if h.feed == nil {
		f := &feed{changed: make(chan struct{})}
		f.ctx, f.cancel = context.WithCancel(context.Background())
		h.feed = f
		h.done.Go(func() { h.run(f) })
	}
	if h.feed.idle != nil {
		h.feed.idle.Stop()
		h.feed.idle = nil
	}
	return h.feed, nil
}

func (h *hub) leave(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners--; h.listeners > 0 || h.closed {
		return
	}
	f.idle = time.AfterFunc(h.limits.idle, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.listeners == 0 && h.feed == f {
			h.feed = nil
			f.cancel()
		}
	})
}

func (h *hub) listening() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listeners
}

// publish adds messages to the ring, and says how far the reader is.
func (h *hub) publish(f *feed, batch []message, last uint64, stored time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range batch {
		f.bytes += batch[i].size()
	}
	f.ring = append(f.ring, batch...)
	f.last, f.stored = last, stored
	evict := 0
	for len(f.ring)-evict > h.limits.ringMessages || evict < len(f.ring) && f.bytes > h.limits.ringBytes {
		f.bytes -= f.ring[evict].size()
		f.from = f.ring[evict].seq
		evict++
	}
	f.ring = f.ring[evict:]
	f.tell()
}

// tell wakes the clients. The caller holds the lock.
func (f *feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}
