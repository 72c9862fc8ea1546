package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/printable"
)

// attempt is one run of the handler on one message. One worker owns it.
type attempt struct {
	consumer *Consumer
	records  *attemptrecord.Store
	msg      jetstream.Msg
	event    *bridge.Event // nil when the message is not an event
	started  time.Time
	// seq is the message's stream sequence, delivery the number of its deliveries.
	seq, delivery uint64
	// isAgain is true of a copy for this consumer alone; load then reads again from its header.
	isAgain bool
	again   bridge.Again

	key       string
	past      attemptrecord.Record // of the attempts before this one
	revision  uint64               // of past, where the consumer acts once
	claimed   time.Time            // At of the last record in state Running that was sent
	afterDead bool                 // the event is, or was, a dead letter
	blind     bool                 // the record exists and could not be read
	info      attemptInfo
	err       error
	ended     error
	span      trace.Span // nil: none
	next      time.Time  // when the event comes again, as far as this attempt has arranged
}

func (c *Consumer) newAttempt(records *attemptrecord.Store, msg jetstream.Msg) *attempt {
	a := &attempt{consumer: c, records: records, msg: msg, started: time.Now(), delivery: 1}
	if meta, err := msg.Metadata(); err == nil {
		a.seq, a.delivery = meta.Sequence.Stream, meta.NumDelivered
	}
	a.isAgain = c.names.IsAgain(msg.Subject())
	a.info.Consumer = c.cfg.Name
	return a
}

func (a *attempt) run(work context.Context) {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	ctx, stop := a.consumer.limit(ctx)
	defer stop()
	released := make(chan struct{})
	go func() {
		defer close(released)
		a.holdLease(ctx, cancel)
	}()
	metrics, began := a.consumer.metrics, time.Now()
	metrics.inFlight.Inc()
	handling, ev := a.beginSpan(ctx)
	a.err, a.ended = a.consumer.call(handling, ev, &a.info)
	metrics.inFlight.Dec()
	metrics.seconds.Observe(time.Since(began).Seconds())
	// A sign of life after the verdict would take the event back.
	cancel(nil)
	<-released
}

// holdLease extends the lease on the event until ctx ends. When no extension has succeeded for a
// whole lease, holdLease ends the attempt, since another worker may have the event by then. A
// handler that ignores the end of its context goes on, so its event may be handled twice.
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
				err = a.holdClaim(ctx, now)
			}
			if err == nil {
				told = now
				continue
			}
			if now.Sub(told) >= lease || errors.Is(err, attemptrecord.ErrClaimed) {
				cancel(fmt.Errorf("%w: %w", ErrLeaseLost, err))
				return
			}
		}
	}
}

// holdClaim renews the claim in the attempt record once in a lease.
func (a *attempt) holdClaim(ctx context.Context, now time.Time) error {
	lease := a.consumer.cfg.Lease
	if !a.consumer.cfg.Once || now.Sub(a.past.At) < lease {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lease/3)
	defer cancel()
	a.past.At = now.UTC()
	return a.swap(ctx, a.past)
}

// swap replaces the record that this attempt has written by r. The error wraps
// [attemptrecord.ErrClaimed] when another worker has written a record meanwhile.
func (a *attempt) swap(ctx context.Context, r attemptrecord.Record) error {
	claimed := a.claimed
	if r.State == attemptrecord.Running {
		a.claimed = r.At
	}
	revision, err := a.records.Swap(ctx, a.key, r, a.revision)
	if errors.Is(err, attemptrecord.ErrClaimed) {
		// The newer record may be of an earlier write of this attempt that was not acknowledged.
		there, latest, unread := a.records.Load(ctx, a.key)
		if unread == nil && there.State == attemptrecord.Running && there.Seq == a.seq && there.Delivery == a.delivery && there.At.Equal(claimed) {
			revision, err = a.records.Swap(ctx, a.key, r, latest)
		}
	}
	if err == nil {
		a.revision = revision
	}
	return err
}

func (a *attempt) outcome() outcome {
	return outcome{err: a.err, ended: a.ended, failures: a.info.Number, first: a.info.First}
}

// finish carries the verdict out and logs the attempt. Its calls have a time limit of their own,
// since the work context has ended when the consumer stops.
func (a *attempt) finish(work context.Context, s Verdict) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), a.consumer.settleTimeout())
	defer cancel()
	a.finishAs(ctx, s)
}

func (a *attempt) finishAs(ctx context.Context, s Verdict) {
	took := time.Since(a.started)
	var err error
	switch s.Action {
	case ActionDone:
		err = a.done(ctx)
	case ActionGiveBack:
		err = errors.Join(a.account(ctx), a.msg.Nak())
	case ActionSnooze:
		err = errors.Join(a.account(ctx), a.comeAgain(ctx, s.Delay))
	case ActionRetry:
		err = a.retry(ctx, s.Delay, took)
	case ActionDead:
		err = a.makeDeadLetter(ctx, s.Cause, took)
	case ActionLeave:
	}
	if err != nil {
		a.consumer.log.Error("settling an attempt failed, the event may come again", slog.String("verdict", s.Action.String()), slog.Any("error", err))
	}
	a.endSpan(s)
	a.log(ctx, s, took)
	a.tell(s, took)
}

func (a *attempt) acknowledge() {
	if err := a.msg.Ack(); err != nil {
		a.consumer.log.Warn("acknowledging failed, the event comes again", slog.Any("error", err))
	}
}

// done records that the event is done, where a record is kept, and then acknowledges the event:
// an event that is recorded as done is never run again. An event whose record could not be
// written is acknowledged too, since otherwise it would surely run again.
func (a *attempt) done(ctx context.Context) error {
	finished := attemptrecord.Record{Event: a.event.ID, State: attemptrecord.Done, AfterDead: a.afterDead}
	var err error
	switch once := a.consumer.cfg.Once; {
	case once && a.past.State == attemptrecord.Done: // before this delivery
	case once:
		if err = a.swap(ctx, finished); errors.Is(err, attemptrecord.ErrClaimed) {
			return fmt.Errorf("%w: %w", ErrLeaseLost, err)
		}
	case a.afterDead && !a.blind:
		err = a.records.Put(ctx, a.key, finished)
	}
	if err := errors.Join(err, a.msg.Ack()); err != nil {
		return err
	}
	if a.consumer.cfg.Once || a.afterDead || a.blind || a.past.Event == "" {
		return nil
	}
	return a.records.Forget(ctx, a.key)
}

// retry records this failed attempt and has the event come again. An attempt that cannot be
// recorded is not counted, so its event could come again without end: that event waits for the
// longest backoff that is possible with the durable.
func (a *attempt) retry(ctx context.Context, delay, took time.Duration) error {
	past := a.past.With(a.event.ID, a.failed(took))
	past.Seq, past.Delivery = a.seq, a.delivery
	err := a.remember(ctx, past)
	switch {
	case errors.Is(err, attemptrecord.ErrClaimed):
		return fmt.Errorf("%w: %w", ErrLeaseLost, err)
	case err != nil || a.blind:
		return errors.Join(err, a.comeBack(max(min(delay, ShortRetryDelay), a.consumer.cfg.Retry.longest())))
	}
	return a.comeAgain(ctx, delay)
}

// account records that this delivery has ended and that no attempt is counted for it.
func (a *attempt) account(ctx context.Context) error {
	past := a.past
	past.Event, past.State, past.Crashes, past.Seq, past.Delivery = a.event.ID, attemptrecord.Failing, 0, a.seq, a.delivery
	if a.consumer.cfg.Once && errors.Is(a.ended, ErrStopping) {
		// The event stays claimed, so that the next attempt knows of this one. The next attempt
		// counts a crash, which this is not.
		past.State, past.Crashes = attemptrecord.Running, -1
	}
	return a.remember(ctx, past)
}

func (a *attempt) remember(ctx context.Context, r attemptrecord.Record) (err error) {
	switch {
	case a.blind:
		return nil
	case a.consumer.cfg.Once:
		err = a.swap(ctx, r)
	default:
		err = a.records.Put(ctx, a.key, r)
	}
	if err == nil {
		a.past = r
	}
	return err
}

func (a *attempt) failed(took time.Duration) bridge.FailedAttempt {
	return bridge.FailedAttempt{
		At:    a.started.UTC(),
		Took:  took.Milliseconds(),
		Error: printable.Truncate(a.err.Error(), attemptrecord.MaxError),
		Note:  a.info.note.get(),
	}
}

func (a *attempt) log(ctx context.Context, v Verdict, took time.Duration) {
	level := slog.LevelInfo
	switch v.Action {
	case ActionRetry, ActionLeave:
		level = slog.LevelWarn
	case ActionDead:
		level = slog.LevelError
	case ActionDone, ActionGiveBack, ActionSnooze:
	}
	if !a.consumer.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("verdict", v.Action.String()),
		slog.Duration("took", took),
		slog.String("subject", a.msg.Subject()),
	}
	if a.event != nil {
		attrs = append(attrs, logEvent(a.event), slog.Int("failures", a.past.Failures))
	}
	if a.span != nil {
		attrs = append(attrs, slog.String("trace_id", a.span.SpanContext().TraceID().String()))
	}
	if a.info.Repeat {
		attrs = append(attrs, slog.Bool("repeat", true))
	}
	if text := a.info.note.get(); text != "" {
		attrs = append(attrs, slog.String("note", printable.Truncate(text, attemptrecord.MaxNote)))
	}
	if a.err != nil {
		attrs = append(attrs, slog.Any("error", a.err))
	}
	if v.Delay > 0 {
		attrs = append(attrs, slog.Duration("again_in", v.Delay))
	}
	if v.Cause != "" {
		attrs = append(attrs, slog.String("cause", string(v.Cause)))
	}
	a.consumer.log.LogAttrs(ctx, level, "attempt", attrs...)
}

func logEvent(ev *bridge.Event) slog.Attr { return slog.String("event", ev.ID) }
