// Package submit submits predictions to their providers, with the bridge's key and the
// bridge's webhook address. It records each prediction before it answers, so that no
// prediction is paid for and then forgotten.
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
	// maxStreams bounds the submissions whose answers are streamed.
	maxStreams = 64
	// longestStream bounds one of them.
	longestStream = 30 * time.Minute
	// recordFor bounds the tries to record an accepted prediction.
	recordFor = 10 * time.Second
	// nameFor is how long a stream has to name its prediction once the process is stopping,
	// or when the client wants no stream. An answer that is no stream has the same time.
	nameFor = 30 * time.Second
)

// API calls a provider, see [provider.Client].
type API interface {
	HasKey() bool
	Submit(ctx context.Context, model string, body []byte) (*provider.Response, error)
}

// Publisher makes events durable, as the one of package queue does.
type Publisher interface {
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// JetStream is the part of [jetstream.JetStream] that stores idempotency keys.
type JetStream interface {
	Conn() *nats.Conn
	Options() jetstream.JetStreamOptions
	PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
	Stream(ctx context.Context, name string) (jetstream.Stream, error)
}

// Source is a configured source.
type Source struct {
	// API is nil when the source has none.
	API API
	// OtherAPI: the provider's API is one to which predictions cannot be submitted from here.
	OtherAPI bool
	// PathToken, when not empty, is the last part of the webhook's path.
	PathToken []byte
	// Query names the URL parameters that travel with the source's events.
	Query []string
}

// Config of a [Submitter].
type Config struct {
	Names bridge.Names
	// PublicURL is where providers reach the ingress; without it nothing is submitted.
	PublicURL string
	// Source returns the currently configured source of that name.
	Source func(name string) (Source, bool)
	// Publisher takes the announcements.
	Publisher Publisher
	// Unable returns why nothing can be recorded now, or ""; nil means always able.
	Unable func(ctx context.Context) string
	// JetStream has the bucket of polls.
	JetStream JetStream
	// Tell publishes progress, best effort.
	Tell    func(subject string, data []byte) error
	Process string
	// Logger may be nil.
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

	stopping context.Context // ends with Close
	stop     context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // call Add under mu and only before closed
}

// New returns a submitter. Call [Submitter.Close] before the Publisher is closed.
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

// Collectors are the metrics: hookspan_submits_total by source and result.
func (s *Submitter) Collectors() []prometheus.Collector { return []prometheus.Collector{s.total} }

// Close refuses further submissions and returns within a minute, when none is in flight:
// predictions that are being submitted are recorded first, and streams whose prediction is
// recorded are cut off.
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

// Relay gets a stream's events one by one, each with the empty line that ends it. After an
// error it gets no more.
type Relay = func(event []byte) error

// Submit has the provider make a prediction, and returns when the prediction is recorded. A
// streamed answer goes to relay as it comes, and Submit returns at its end; the event that
// names the prediction is passed on once the prediction is recorded. Then there can be both
// a prediction and an error. Submit goes on when ctx ends, since the provider may have
// accepted the prediction. The error is a [*adminapi.SubmitError].
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
