// Package submit has predictions made: it sends them to their provider with the
// bridge's key and the bridge's own webhook address, and records each before it is
// answered, so that no prediction is paid for and then forgotten.
package submit

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// maxStreams bounds the submissions whose answers are relayed as they come.
	maxStreams = 64
	// longestStream bounds one of them.
	longestStream = 30 * time.Minute
	// recordFor is how long it is tried to record what the provider has accepted.
	recordFor = 10 * time.Second
	// nameFor is how long a stream has to name its prediction once the process is to end,
	// or when nobody asked for a stream. It is what an answer has that is none.
	nameFor = 30 * time.Second
)

// API is a provider, see [provider.Client].
type API interface {
	HasKey() bool
	Submit(ctx context.Context, model string, body []byte) (*provider.Response, error)
}

// Publisher makes events durable, see the one of package queue.
type Publisher interface {
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// JetStream is the part of [jetstream.JetStream] that keeps idempotency keys.
type JetStream interface {
	Conn() *nats.Conn
	PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
	Stream(ctx context.Context, name string) (jetstream.Stream, error)
}

// Source is what is known of a configured sender.
type Source struct {
	// API is nil when the source has none.
	API API
	// PathToken, when not empty, is the last part of the webhook's path.
	PathToken []byte
	// Query are the names of URL parameters that travel with its events.
	Query []string
}

// Config of a [Submitter].
type Config struct {
	Names bridge.Names
	// PublicURL is where providers reach the ingress; without it nothing is submitted.
	PublicURL string
	// Source returns the configured source of that name, as it is now.
	Source func(name string) (Source, bool)
	// Publisher takes what is announced.
	Publisher Publisher
	// Unable returns why nothing can be recorded now, "" when it can; nil is always.
	Unable func(ctx context.Context) string
	// JetStream has the bucket of the prediction store.
	JetStream JetStream
	// Tell publishes how far a prediction is; what nobody hears is lost.
	Tell func(subject string, data []byte) error
	// Process names this process in records.
	Process string
	// Logger nil logs nothing.
	Logger *zap.Logger

	recordFor, nameFor time.Duration // for tests
}

// Submitter submits predictions. It is safe for concurrent use. Its zero value is not
// usable, see [New].
type Submitter struct {
	cfg     Config
	records records
	flights flights
	unsent  claims
	streams *semaphore.Weighted
	total   *prometheus.CounterVec

	stopping context.Context // it ends with Close
	stop     context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // Add under mu, and not once it is closed
}

// New returns a submitter. [Submitter.Close] must be called before what it publishes
// with is closed.
func New(cfg Config) *Submitter {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	cfg.recordFor, cfg.nameFor = cmp.Or(cfg.recordFor, recordFor), cmp.Or(cfg.nameFor, nameFor)
	s := &Submitter{
		cfg: cfg, records: records{js: cfg.JetStream, names: cfg.Names}, flights: flights{byKey: map[string]*flight{}},
		streams: semaphore.NewWeighted(maxStreams), total: newTotal(),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	return s
}

// Collectors are its metrics: hookspan_submits_total by source and result.
func (s *Submitter) Collectors() []prometheus.Collector { return []prometheus.Collector{s.total} }

// Close refuses submissions from now on and returns when none is in flight any more,
// within a minute: a prediction that is being submitted is recorded first, and a stream
// whose prediction is recorded is cut off.
func (s *Submitter) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
}

func (s *Submitter) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// Relay is given a stream's events, one by one, each with the empty line that ends it.
// After an error it is given no more.
type Relay = func(event []byte) error

// Submit has the provider make a prediction, and returns when that is recorded. When
// its answer is a stream, relay gets it as it comes, the event that names the
// prediction once it is recorded, and Submit returns when the stream has ended; then
// there can be both a prediction and an error. It goes on when ctx ends, since the
// provider may have accepted it by then. The error is a [*adminapi.SubmitError].
func (s *Submitter) Submit(ctx context.Context, sub adminapi.Submission, relay Relay) (*bridge.Submitted, error) {
	if !s.begin() {
		return nil, &adminapi.SubmitError{Status: http.StatusServiceUnavailable, Detail: "This process is shutting down: try again.", RetryAfter: retrySoon}
	}
	defer s.running.Done()
	done, err := s.submit(ctx, sub, relay)
	s.count(sub.Source, done, err)
	return done, err
}

func (s *Submitter) submit(ctx context.Context, sub adminapi.Submission, relay Relay) (*bridge.Submitted, error) {
	o, err := s.prepare(sub, time.Now())
	if err != nil {
		return nil, err
	}
	if sub.IdempotencyKey != "" {
		return s.once(ctx, o, relay)
	}
	return s.send(context.WithoutCancel(ctx), o, relay, func(*bridge.Submitted) {})
}
