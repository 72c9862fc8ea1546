package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// limit returns the context of one attempt, which ends after Config.Timeout.
func (c *Consumer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.Timeout > 0 {
		return context.WithTimeoutCause(ctx, c.cfg.Timeout, ErrTimeout)
	}
	return ctx, func() {}
}

// call calls the handler. It returns the handler's error, and the cause of ctx's end if ctx had
// ended by then.
func (c *Consumer) call(ctx context.Context, ev *bridge.Event, info *attemptInfo) (err, ended error) {
	err = c.recovered(context.WithValue(ctx, attemptKey{}, info), ev)
	if ctx.Err() != nil {
		ended = context.Cause(ctx)
		if err != nil && errors.Is(ended, ErrTimeout) {
			err = fmt.Errorf("%w (%v): %w", ErrTimeout, c.cfg.Timeout, err)
		}
	}
	return err, ended
}

// recovered calls the handler and turns a panic into an error.
func (c *Consumer) recovered(ctx context.Context, ev *bridge.Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := &panicError{value: v, stack: debug.Stack()}
			c.log.Error("handler panicked", logEvent(ev), slog.Any("error", p), slog.String("stack", string(p.stack)))
			err = p
		}
	}()
	return c.handler.Handle(ctx, ev)
}

// Tried is the result of [Try].
type Tried struct {
	Verdict
	// Err is the handler's error, or its panic as an error. After a timeout Err wraps
	// [ErrTimeout].
	Err error
	// Panic is the value that the handler panicked with, or nil.
	Panic any
	// Note is what the handler attached to the attempt, see [Note].
	Note string
}

// Try makes one attempt on ev as a [Consumer] does, but without a server, and returns what the
// consumer would do next. Try is for tests of handlers, and waits for nothing but the handler.
// Of cfg only the middleware, the timeout, the retries and the logger are used, and the name
// unless a has one. The zero value of a is a first attempt; set First in the past to see when an
// event is given up.
//
// When ctx ends, the verdict is that of an attempt that ends by the cause of ctx, such as
// [ErrStopping].
func Try(ctx context.Context, handler Handler, ev *bridge.Event, cfg Config, a Attempt) Tried {
	cfg = cfg.withDefaults()
	c := &Consumer{handler: wrap(handler, cfg.Middleware), cfg: cfg, log: cfg.Logger}
	now := time.Now()
	if a.Consumer == "" {
		a.Consumer = cfg.Name
	}
	if a.First.IsZero() {
		a.First = now
	}
	a.Number = max(a.Number, 1)
	info := &attemptInfo{Attempt: a}
	ctx, stop := c.limit(ctx)
	defer stop()
	err, ended := c.call(ctx, ev, info)
	t := Tried{Err: err, Note: info.note.get()}
	t.Verdict = settle(outcome{err: err, ended: ended, failures: a.Number, first: a.First}, cfg.Retry, time.Now())
	if p, ok := errors.AsType[*panicError](err); ok {
		t.Panic = p.value
	}
	return t
}
