package consumers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge"
)

// attempt is one run of the handler on one message. It belongs to one worker.
type attempt struct {
	consumer *Consumer
	ledger   *ledger
	msg      jetstream.Msg
	event    *bridge.Event // nil when the message is none
	started  time.Time

	past  record // the failed attempts before this one
	blind bool   // there is a record that could not be read
	err   error
	ended error
	note  note
}

// load reads what is remembered of earlier attempts. A record that cannot be read
// is not written over: handling the event matters more than counting it, but what
// was counted stays.
func (a *attempt) load(work context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), a.consumer.settleTimeout())
	defer cancel()
	var err error
	if a.past, err = a.ledger.load(ctx, a.event.ID); err != nil {
		a.blind = true
		a.consumer.log.Error("earlier attempts are unknown, this one is not counted", zap.String("event", a.event.ID), zap.Error(err))
	}
}

// run calls the handler with a context that ends when it must not go on.
func (a *attempt) run(work context.Context) {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	if d := a.consumer.cfg.Timeout; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, d, ErrTimeout)
		defer stop()
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		a.holdLease(ctx, cancel)
	}()
	a.err = a.call(context.WithValue(ctx, noteKey{}, &a.note))
	if ctx.Err() != nil {
		a.ended = context.Cause(ctx)
		if a.err != nil && errors.Is(a.ended, ErrTimeout) {
			a.err = fmt.Errorf("%w (%v): %w", ErrTimeout, a.consumer.cfg.Timeout, a.err)
		}
	}
	// No sign of life may follow the verdict.
	cancel(nil)
	<-released
}

func (a *attempt) call(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := &panicError{value: v, stack: debug.Stack()}
			a.consumer.log.Error("handler panicked", zap.String("event", a.event.ID), zap.Error(p), zap.ByteString("stack", p.stack))
			err = p
		}
	}()
	return a.consumer.handler.Handle(ctx, a.event)
}

// holdLease tells the server that the event is being worked on, until ctx ends.
// When the server could not be told for a whole lease, it ends the attempt: the
// event may be with another worker by then. A handler that ignores the end of
// its context is not covered, so its event comes again.
func (a *attempt) holdLease(ctx context.Context, cancel context.CancelCauseFunc) {
	lease := a.consumer.cfg.Lease
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	told := a.started
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			err := a.msg.InProgress()
			if err == nil {
				told = now
				continue
			}
			if now.Sub(told) >= lease {
				cancel(fmt.Errorf("%w: %w", ErrLeaseLost, err))
				return
			}
		}
	}
}

func (a *attempt) outcome() outcome {
	first := a.past.First
	if a.past.Failures == 0 {
		first = a.started
	}
	return outcome{err: a.err, ended: a.ended, failures: a.past.Failures + 1, first: first}
}

// finish does what was settled and writes the one line about the attempt. Its
// calls have a time of their own: the work context has ended when the consumer
// stops.
func (a *attempt) finish(work context.Context, s settlement) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), a.consumer.settleTimeout())
	defer cancel()
	took := time.Since(a.started)
	var err error
	switch s.action {
	case actAck:
		err = a.done(ctx)
	case actGiveBack:
		err = a.msg.Nak()
	case actRetry:
		err = a.retry(ctx, s.delay, took)
	case actDead:
		err = a.bury(ctx, s.cause, took)
	case actLeave:
	}
	if err != nil {
		a.consumer.log.Error("settling an attempt failed, the event may come again", zap.String("verdict", s.action.String()), zap.Error(err))
	}
	a.log(s, took)
}

func (a *attempt) acknowledge() {
	if err := a.msg.Ack(); err != nil {
		a.consumer.log.Warn("acknowledging failed, the event comes again", zap.Error(err))
	}
}

func (a *attempt) done(ctx context.Context) error {
	if err := a.msg.Ack(); err != nil {
		return err
	}
	if a.past.Failures == 0 {
		return nil
	}
	return a.ledger.forget(ctx, a.event.ID)
}

// retry records this failed attempt and has the event come again. An attempt that
// cannot be recorded does not count, so its event waits as long as any may: it
// would come again without end, and fast.
func (a *attempt) retry(ctx context.Context, delay, took time.Duration) error {
	var err error
	if !a.blind {
		past := a.past.with(a.event.ID, a.failed(took))
		if err = a.ledger.store(ctx, a.event.ID, past); err == nil {
			a.past = past
		}
	}
	if a.blind || err != nil {
		delay = max(delay, a.consumer.cfg.Retry.longest())
	}
	return errors.Join(err, a.msg.NakWithDelay(delay))
}

func (a *attempt) failed(took time.Duration) failedAttempt {
	return failedAttempt{
		At:    a.started.UTC(),
		Took:  took.Milliseconds(),
		Error: truncate(a.err.Error(), maxError),
		Note:  a.note.get(),
	}
}

func (a *attempt) log(s settlement, took time.Duration) {
	level := zap.InfoLevel
	switch s.action {
	case actRetry, actLeave:
		level = zap.WarnLevel
	case actDead:
		level = zap.ErrorLevel
	case actAck, actGiveBack:
	}
	entry := a.consumer.log.Check(level, "attempt")
	if entry == nil {
		return
	}
	fields := []zapcore.Field{
		zap.String("verdict", s.action.String()),
		zap.Duration("took", took),
		zap.String("subject", a.msg.Subject()),
	}
	if a.event != nil {
		fields = append(fields, zap.String("event", a.event.ID), zap.Int("failures", a.past.Failures))
	}
	if text := a.note.get(); text != "" {
		fields = append(fields, zap.String("note", text))
	}
	if a.err != nil {
		fields = append(fields, zap.Error(a.err))
	}
	if s.delay > 0 {
		fields = append(fields, zap.Duration("again_in", s.delay))
	}
	if s.cause != "" {
		fields = append(fields, zap.String("cause", string(s.cause)))
	}
	entry.Write(fields...)
}
