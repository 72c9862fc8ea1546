package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// attempt is one run of the handler on one message. It belongs to one worker.
type attempt struct {
	consumer *Consumer
	ledger   *ledger
	msg      jetstream.Msg
	event    *bridge.Event // nil when the message is none
	started  time.Time
	// seq and delivery say where the message lies and how often it was delivered.
	seq, delivery uint64
	// isAgain: it is a copy for this consumer alone, of which again says more once
	// what is known of it was loaded.
	isAgain bool
	again   bridge.Again

	key       string
	past      record    // what was known before this attempt
	revision  uint64    // of past, where the consumer acts once
	claimed   time.Time // At of the last claim that was sent
	afterDead bool      // there is, or was, a dead letter of it
	blind     bool      // there is a record that could not be read
	info      attemptInfo
	err       error
	ended     error
}

func (c *Consumer) newAttempt(ledger *ledger, msg jetstream.Msg) *attempt {
	a := &attempt{consumer: c, ledger: ledger, msg: msg, started: time.Now(), delivery: 1}
	if meta, err := msg.Metadata(); err == nil {
		a.seq, a.delivery = meta.Sequence.Stream, meta.NumDelivered
	}
	a.isAgain = c.names.IsAgain(msg.Subject())
	a.info.Consumer = c.cfg.Name
	return a
}

// run calls the handler with a context that ends when it must not go on.
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
	a.err, a.ended = a.consumer.call(ctx, a.event, &a.info)
	// No sign of life may follow the verdict.
	cancel(nil)
	<-released
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
				err = a.holdClaim(ctx, now)
			}
			if err == nil {
				told = now
				continue
			}
			if now.Sub(told) >= lease || errors.Is(err, errClaimed) {
				cancel(fmt.Errorf("%w: %w", ErrLeaseLost, err))
				return
			}
		}
	}
}

// holdClaim says once a lease in the ledger that this attempt is running.
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

// swap writes r in the place of what this attempt has written. The error wraps
// [errClaimed] when somebody else has written something.
func (a *attempt) swap(ctx context.Context, r record) error {
	claimed := a.claimed
	if r.State == stateRunning {
		a.claimed = r.At
	}
	revision, err := a.ledger.swap(ctx, a.key, r, a.revision)
	if errors.Is(err, errClaimed) {
		// It may have been this attempt, whose write was not answered.
		there, latest, unread := a.ledger.load(ctx, a.key)
		if unread == nil && there.State == stateRunning && there.Seq == a.seq && there.Delivery == a.delivery && there.At.Equal(claimed) {
			revision, err = a.ledger.swap(ctx, a.key, r, latest)
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

// finish does what was settled and writes the one line about the attempt. Its
// calls have a time of their own: the work context has ended when the consumer
// stops.
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
		err = a.bury(ctx, s.Cause, took)
	case ActionLeave:
	}
	if err != nil {
		a.consumer.log.Error("settling an attempt failed, the event may come again", zap.String("verdict", s.Action.String()), zap.Error(err))
	}
	a.log(s, took)
}

func (a *attempt) acknowledge() {
	if err := a.msg.Ack(); err != nil {
		a.consumer.log.Warn("acknowledging failed, the event comes again", zap.Error(err))
	}
}

// done remembers what must be remembered and acknowledges, in this order: what is
// remembered as done is never run again. What could not be remembered is acknowledged
// nevertheless, since otherwise it would surely run again.
func (a *attempt) done(ctx context.Context) error {
	finished := record{Event: a.event.ID, State: stateDone, AfterDead: a.afterDead}
	var err error
	switch once := a.consumer.cfg.Once; {
	case once && a.past.State == stateDone: // before this delivery
	case once:
		if err = a.swap(ctx, finished); errors.Is(err, errClaimed) {
			return fmt.Errorf("%w: %w", ErrLeaseLost, err)
		}
	case a.afterDead && !a.blind:
		err = a.ledger.store(ctx, a.key, finished)
	}
	if err := errors.Join(err, a.msg.Ack()); err != nil {
		return err
	}
	if a.consumer.cfg.Once || a.afterDead || a.blind || a.past.Event == "" {
		return nil
	}
	return a.ledger.forget(ctx, a.key)
}

// retry records this failed attempt and has the event come again. An attempt that
// cannot be recorded does not count, so its event waits as long as any may that
// stays with its durable: it would come again without end, and fast.
func (a *attempt) retry(ctx context.Context, delay, took time.Duration) error {
	past := a.past.with(a.event.ID, a.failed(took))
	past.Seq, past.Delivery = a.seq, a.delivery
	err := a.remember(ctx, past)
	switch {
	case errors.Is(err, errClaimed):
		return fmt.Errorf("%w: %w", ErrLeaseLost, err)
	case err != nil || a.blind:
		return errors.Join(err, a.msg.NakWithDelay(max(min(delay, ShortRetryDelay), a.consumer.cfg.Retry.longest())))
	}
	return a.comeAgain(ctx, delay)
}

// account says that this delivery ended although no attempt is counted for it.
func (a *attempt) account(ctx context.Context) error {
	past := a.past
	past.Event, past.State, past.Crashes, past.Seq, past.Delivery = a.event.ID, stateFailing, 0, a.seq, a.delivery
	if a.consumer.cfg.Once && errors.Is(a.ended, ErrStopping) {
		// It stays claimed, so that the next one knows of this one, and will be
		// counted as a crash, which it is not.
		past.State, past.Crashes = stateRunning, -1
	}
	return a.remember(ctx, past)
}

// remember writes the record and makes it what is known.
func (a *attempt) remember(ctx context.Context, r record) (err error) {
	switch {
	case a.blind:
		return nil
	case a.consumer.cfg.Once:
		err = a.swap(ctx, r)
	default:
		err = a.ledger.store(ctx, a.key, r)
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
		Error: printable.Truncate(a.err.Error(), maxError),
		Note:  a.info.note.get(),
	}
}

func (a *attempt) log(s Verdict, took time.Duration) {
	level := zap.InfoLevel
	switch s.Action {
	case ActionRetry, ActionLeave:
		level = zap.WarnLevel
	case ActionDead:
		level = zap.ErrorLevel
	case ActionDone, ActionGiveBack, ActionSnooze:
	}
	entry := a.consumer.log.Check(level, "attempt")
	if entry == nil {
		return
	}
	fields := []zapcore.Field{
		zap.String("verdict", s.Action.String()),
		zap.Duration("took", took),
		zap.String("subject", a.msg.Subject()),
	}
	if a.event != nil {
		fields = append(fields, zapEvent(a.event), zap.Int("failures", a.past.Failures))
	}
	if a.info.Repeat {
		fields = append(fields, zap.Bool("repeat", true))
	}
	if text := a.info.note.get(); text != "" {
		fields = append(fields, zap.String("note", printable.Truncate(text, maxNote)))
	}
	if a.err != nil {
		fields = append(fields, zap.Error(a.err))
	}
	if s.Delay > 0 {
		fields = append(fields, zap.Duration("again_in", s.Delay))
	}
	if s.Cause != "" {
		fields = append(fields, zap.String("cause", string(s.Cause)))
	}
	entry.Write(fields...)
}

func zapEvent(ev *bridge.Event) zap.Field { return zap.String("event", ev.ID) }
