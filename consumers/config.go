package consumers

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
)

// Config of a [Consumer]. Only Name is required; the zero value of every other field is its
// default.
type Config struct {
	// Name is the name of the consumer and of its durable; see [bridge.CheckName].
	Name string
	// Filter picks the events. Without statuses the filter picks completed and failed
	// predictions; the status "*" picks every one.
	Filter bridge.Filter
	// Start says with which event a durable begins that does not exist yet.
	Start Start
	// Concurrency is how many events this process handles at once, default 1, at most
	// [MaxConcurrency]. The consumer fetches an event only when a worker is free for it.
	Concurrency int
	// Rate is how many events a second this process begins at most; zero is no limit. The
	// consumer fetches an event only when it may be handled.
	Rate float64
	// Once handles each status of a prediction once. The consumer remembers what is done for
	// as long as an event may be retried, and for a day more. An attempt whose process was
	// killed is made again, see [Attempt.Repeat]. A second event about the same status
	// becomes a dead letter, see [bridge.DeadConflict]. Once costs two writes for each event.
	Once bool
	// Middleware is around the handler; the first one is the outermost.
	Middleware []Middleware
	// Timeout bounds one attempt; zero is no bound.
	Timeout time.Duration
	// Lease is how long the server waits for a sign of life of a worker before the server gives
	// the event to another one, default 30 s, at least 1 s. While the handler runs, the consumer
	// sends a sign of life every third of the lease, so a handler may take longer than that.
	Lease time.Duration
	// Grace is how long handlers may go on when the consumer stops, default 20 s.
	Grace time.Duration
	// Retry says when failed events come again.
	Retry Retry
	// BindOnly is for a NATS user that may not create durables. The consumer then uses a
	// durable that somebody else makes, with hookspan provision for example. While the
	// durable is missing, or differs from this configuration, the consumer handles nothing,
	// and the log says what differs. Such a consumer needs rights to its durable, its attempt
	// records, its dead letters and its waiting events only. In exchange the consumer cannot
	// look whether there is room for an event to wait, and may make a dead letter twice.
	BindOnly bool
	// Prefix is that of the bridge's names, default [bridge.DefaultPrefix].
	Prefix string
	// Logger gets one line for each attempt, and a line for whatever goes wrong. Nil logs
	// nothing. Other loggers plug in by their [slog.Handler]: zap by that of
	// go.uber.org/zap/exp/zapslog.
	Logger *slog.Logger
	// Tracer begins a span for each attempt on an event whose trace is sampled, in that trace and
	// linked to the event's span. The handler's context has the span, and the handler's event has
	// its traceparent, for requests of the handler. Nil begins none.
	Tracer trace.Tracer
}

// Start says with which event a new durable begins. The zero value begins with the first event
// that is stored after the durable was created.
type Start struct {
	// All begins with the oldest event that is still stored.
	All bool
	// At begins with the first event that was stored at that time or later.
	At time.Time
}

// MaxConcurrency bounds Config.Concurrency.
const MaxConcurrency = 4096

// MaxRate bounds Config.Rate.
const MaxRate = 1e6

func (c Config) withDefaults() Config {
	d := c.durable().WithDefaults()
	c.Filter, c.Lease, c.Prefix = d.Filter, d.Lease, d.Prefix
	c.Concurrency = cmp.Or(c.Concurrency, 1)
	c.Grace = cmp.Or(c.Grace, 20*time.Second)
	c.Retry = c.Retry.WithDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// durable defines the durable that the consumer reads.
func (c Config) durable() durable.Definition {
	return durable.Definition{Name: c.Name, Filter: c.Filter, Start: durable.StartPoint(c.Start), Lease: c.Lease, Prefix: c.Prefix}
}

func (c Config) validate() error {
	if err := c.durable().Validate(); err != nil {
		return err
	}
	if err := c.Retry.Validate(); err != nil {
		return fmt.Errorf("consumer %s: %w", c.Name, err)
	}
	switch {
	case c.Concurrency < 0 || c.Concurrency > MaxConcurrency:
		return fmt.Errorf("consumer %s: concurrency is %d, it must be 1 to %d", c.Name, c.Concurrency, MaxConcurrency)
	case !(c.Rate >= 0 && c.Rate <= MaxRate): // NaN too
		return fmt.Errorf("consumer %s: rate is %v, it must be 0 to %v", c.Name, c.Rate, MaxRate)
	case c.Timeout < 0 || c.Grace < 0:
		return fmt.Errorf("consumer %s: timeout %v, grace %v: neither may be negative", c.Name, c.Timeout, c.Grace)
	}
	return nil
}
