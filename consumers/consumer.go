// Package consumers is for programs that act on events. A [Consumer] reads events through a
// durable of JetStream and calls a [Handler] for each. What the handler returns says whether the
// consumer acknowledges the event, retries it, or makes a dead letter of it.
//
//	c, err := consumers.New(js, handler, consumers.Config{Name: "billing"})
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx)
//
// An event reaches the handler at least once. The event comes again after a failed attempt,
// after a crash in the middle of one, and after an acknowledgement that was lost, always with
// the same [bridge.Event.ID]. Make effects idempotent with [Attempt.IdempotencyKey]. There is no
// order between events.
//
// Package consumertest has events and a NATS server for tests of handlers.
package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/waitbudget"
)

// Handler acts on events. Config.Concurrency goroutines call the handler at once.
type Handler interface {
	// Handle acts on one event. Nil means done: the event is never delivered again. An error
	// means that the attempt failed: the event comes again after a backoff, unless the error
	// is one of [Permanent], [Refused], [RetryAfter], [RetryWithin] or [Snooze]. A panic is a
	// failed attempt.
	//
	// The context ends when the attempt takes longer than Config.Timeout, when the consumer
	// stops and has waited for Config.Grace, and when the lease on the event is lost.
	// context.Cause tells which: [ErrTimeout], [ErrStopping] or [ErrLeaseLost].
	Handle(ctx context.Context, ev *bridge.Event) error
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(ctx context.Context, ev *bridge.Event) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, ev *bridge.Event) error { return f(ctx, ev) }

// Consumer calls a handler for each event of one durable. Several processes may run consumers of
// one name: they share its events.
type Consumer struct {
	js      *redial.JetStream
	handler Handler
	gate    Gate          // nil: always open
	rate    *rate.Limiter // nil: no limit
	cfg     Config
	names   bridge.Names
	rest    bool             // the filter says more than subjects can: events are matched here too
	room    *waitbudget.Room // for events that wait in the stream for waiting events
	short   time.Duration    // the longest wait with the durable, ShortRetryDelay except in tests
	waits   waits            // of events with the durable
	claims  claimsSeen       // of other workers, where the consumer acts once
	log     *slog.Logger
	reports *reporter
	metrics *metrics
	teller  *teller

	// mu guards bound, which is set once the durable was reached.
	mu    sync.Mutex
	bound binding
}

// New checks cfg and returns a consumer that has not called the server yet. The error names the
// field that cannot be used.
func New(js jetstream.JetStream, handler Handler, cfg Config) (*Consumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if js == nil || handler == nil {
		return nil, fmt.Errorf("consumer %s: a JetStream context and a handler are required", cfg.Name)
	}
	c := &Consumer{
		handler: wrap(handler, cfg.Middleware),
		cfg:     cfg,
		names:   bridge.Names{Prefix: cfg.Prefix},
		log:     cfg.Logger.With("consumer", cfg.Name),
	}
	c.js = redial.Borrow(js, c.log.Warn)
	c.gate, _ = handler.(Gate)
	c.reports = newReporter(c, handler)
	c.metrics = newMetrics(cfg.Name, &c.waits)
	c.teller = newTeller(c)
	if cfg.Rate > 0 {
		c.rate = rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate/10)))
	}
	c.room, c.short, c.waits.most = waitbudget.NewRoom(c.js, c.names), ShortRetryDelay, places
	_, c.rest = cfg.Filter.Subjects(c.names)
	return c, nil
}

// abortTimeout is how long a handler may take to notice that its context ended.
const abortTimeout = 5 * time.Second

// ErrStillRunning is wrapped by the error of [Consumer.Run] when handlers did not return
// although their context had ended. Their events come again once their leases have run out.
var ErrStillRunning = errors.New("handlers are still running")

// Run handles events until ctx ends. Then Run fetches no more events, lets the handlers finish
// for at most Config.Grace, ends their contexts, and gives back the events that they did not
// finish. Run then returns nil, or an error that wraps [ErrStillRunning] when handlers ignored
// the end of their context.
//
// Run tries for ever to reach the server, the stream and the durable, and to use the durable,
// and logs each failure.
//
// The connection belongs to the program. When the program closes the connection, Run ends with
// an error that wraps nats.ErrConnectionClosed. When an error has closed the connection, such as
// credentials that were refused twice, a message that is larger than the server takes, or the
// last of nats.MaxReconnects, Run dials a new connection with the same options, but without the
// nats.ClosedHandler, until the server accepts it; files with credentials are read again. Run
// closes the new connection when it returns. The program's own connection stays closed.
//
// Run can be called once.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(ErrStopping)

	var workers sync.WaitGroup
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	var connection sync.WaitGroup
	connection.Go(func() {
		if err := c.js.Run(connected); err != nil {
			stop(fmt.Errorf("consumer %s: %w", c.cfg.Name, err))
		}
	})
	connection.Go(func() { c.teller.run(connected) })
	defer connection.Wait()
	defer disconnect()

	fetch := c.newFetcher()
	workers.Go(func() { c.reports.run(ctx) })
	workers.Go(func() { fetch.run(ctx) })
	for range c.cfg.Concurrency {
		workers.Go(func() { c.worker(ctx, work, fetch) })
	}
	<-ctx.Done()

	finished := make(chan struct{})
	go func() {
		workers.Wait()
		close(finished)
	}()
	if !waitFor(finished, c.cfg.Grace) {
		abort(ErrStopping)
		if !waitFor(finished, abortTimeout) {
			return fmt.Errorf("stopping consumer %s: %w", c.cfg.Name, ErrStillRunning)
		}
	}
	c.flush()
	if cause := context.Cause(ctx); errors.Is(cause, nats.ErrConnectionClosed) {
		return cause
	}
	return nil
}

// flush tells of the last attempts and waits until the server has the last acknowledgements,
// since the owner of the connection may close it next.
func (c *Consumer) flush() {
	c.teller.flush()
	if err := c.js.Conn().FlushTimeout(c.settleTimeout()); err != nil {
		c.log.Warn("the last acknowledgements may be lost; their events come again", slog.Any("error", err))
	}
}

func waitFor(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
