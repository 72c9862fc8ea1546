package consumers

import (
	"cmp"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
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
	// BindOnly binds to a durable that somebody else provisions, see
	// [Durable.Provision], and never creates or changes one: while it is missing, or
	// differs from what this configuration says, nothing is handled, and the log says
	// what differs. Such a consumer needs no right to anything but its durable, its
	// records in the ledger, its dead letters and its waiting events. In exchange it
	// has to be told by the server that there is no room to wait, and may make a dead
	// letter twice.
	BindOnly bool
	// Prefix is that of the bridge's names, default [bridge.DefaultPrefix].
	Prefix string
	// Logger gets one line for each attempt; nil logs nothing.
	Logger *zap.Logger
}

// minLease leaves time to settle an event within it.
const minLease = time.Second

// MaxConcurrency bounds Config.Concurrency.
const MaxConcurrency = 4096

// MaxRate bounds Config.Rate.
const MaxRate = 1e6

func (c Config) withDefaults() Config {
	c.Concurrency = cmp.Or(c.Concurrency, 1)
	c.Lease = cmp.Or(c.Lease, 30*time.Second)
	c.Grace = cmp.Or(c.Grace, 20*time.Second)
	c.Prefix = cmp.Or(c.Prefix, bridge.DefaultPrefix)
	c.Retry = c.Retry.withDefaults()
	if len(c.Filter.Statuses) == 0 {
		c.Filter.Statuses = []string{bridge.StatusCompleted, bridge.StatusFailed}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

func (c Config) validate() error {
	if err := bridge.CheckName("consumer", c.Name); err != nil {
		return err
	}
	for _, err := range []error{
		bridge.CheckName("prefix", c.Prefix),
		c.Filter.Validate(),
		c.Retry.Validate(),
	} {
		if err != nil {
			return fmt.Errorf("consumer %s: %w", c.Name, err)
		}
	}
	switch {
	case c.Concurrency < 0 || c.Concurrency > MaxConcurrency:
		return fmt.Errorf("consumer %s: concurrency is %d, it must be 1 to %d", c.Name, c.Concurrency, MaxConcurrency)
	case !(c.Rate >= 0 && c.Rate <= MaxRate): // NaN too
		return fmt.Errorf("consumer %s: rate is %v, it must be 0 to %v", c.Name, c.Rate, MaxRate)
	case c.Timeout < 0 || c.Lease < 0 || c.Grace < 0:
		return fmt.Errorf("consumer %s: timeout %v, lease %v, grace %v: none may be negative", c.Name, c.Timeout, c.Lease, c.Grace)
	case c.Lease < minLease:
		return fmt.Errorf("consumer %s: lease is %v, it must be at least %v", c.Name, c.Lease, minLease)
	case c.Start.All && !c.Start.At.IsZero():
		return fmt.Errorf("consumer %s: start has both All and At", c.Name)
	}
	return nil
}
