package consumers

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
)

// Config of a [Consumer]. Zero values are defaults; only Name is required.
type Config struct {
	// Name is that of the consumer and of its durable; see [bridge.CheckName].
	Name string
	// Filter picks the events. Without statuses it picks completed and failed
	// predictions; "*" picks every status.
	Filter bridge.Filter
	// Start says which events a durable begins with that does not exist yet.
	Start Start
	// Concurrency is how many events this process handles at once, default 1. No
	// event is fetched before a worker is free for it.
	Concurrency int
	// Rate is how many events a second this process begins at most; zero is no
	// limit. No event is fetched before it may be handled.
	Rate float64
	// Once acts on each status of a prediction once: what is done is remembered
	// for as long as an event may be retried, and a day. An attempt whose process
	// was killed is made again, see [Attempt.Repeat]. Another event about the same
	// status becomes a dead letter, see [bridge.DeadConflict]. It costs two writes
	// for each event.
	Once bool
	// Middleware is around the handler, the first one outermost.
	Middleware []Middleware
	// Timeout bounds one attempt; zero is no bound.
	Timeout time.Duration
	// Lease is how long the server waits for a sign of life before it gives an
	// event to another worker, default 30 s, at least 1 s. One is sent every third
	// of it while the handler runs, so a handler may take as long as it likes.
	Lease time.Duration
	// Grace is how long handlers may go on when the consumer stops, default 20 s.
	Grace time.Duration
	// Retry says when failed events come again.
	Retry Retry
	// [Durable.Provision], and never creates or changes one: while it is missing, or
	// differs from what this configuration says, nothing is handled, and the log says
	// what differs. Such a consumer needs no right to anything but its durable, its
	// records in its record, its dead letters and its waiting events. In exchange it
	// has to be told by the server that there is no room to wait, and may make a dead
	// letter twice.
	BindOnly bool
	// Prefix is that of the bridge's names, default [bridge.DefaultPrefix].
	Prefix string
	// Logger gets one line for each attempt, and one for what goes wrong. Nil logs nothing.
	// Loggers of other packages plug in by their slog.Handler, zap's by that of
	// go.uber.org/zap/exp/zapslog.
	Logger *slog.Logger
}

// Start says which events a new durable begins with. The zero value begins with
// what is stored after it was created.
type Start struct {
	// All begins with the oldest event that is still stored.
	All bool
	// At begins with what was stored at that time or later.
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
	c.Retry = c.Retry.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// durable is the durable that the consumer reads.
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
