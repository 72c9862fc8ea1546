package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
)

const (
	// maxUnsettled is how many deliveries in a row may end without a verdict until the event
	// counts as one that kills its handler. The number is generous: events in flight when a
	// process is killed for another reason count too.
	maxUnsettled = 10
	// claimLeases is for how many leases the claim of a running attempt may stay unrenewed
	// before another copy of the event takes it over.
	claimLeases = 3
)

type ready int

const (
	mayRun  ready = iota
	settled       // no attempt is needed, and the delivery has its verdict
)

// begin loads the attempt record and, where the consumer acts once, claims the event.
func (a *attempt) begin(work context.Context, bound binding) ready {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), a.consumer.settleTimeout())
	defer cancel()
	once := a.consumer.cfg.Once
	a.key = attemptrecord.EventKey(a.event.ID)
	if once {
		a.key = attemptrecord.OnceKey(a.event)
	}
	if once || a.delivery > 1 || a.isAgain || a.records.MayHold(a.key, a.seq <= bound.last) {
		err := a.load(ctx)
		switch {
		case err != nil && once:
			// The event may have been handled, so it must wait.
			return a.putOff(err)
		case err != nil:
			a.blind = true
			a.consumer.log.Error("earlier attempts are unknown, this one is not counted", logEvent(a.event), slog.Any("error", err))
		}
	}
	if once {
		return a.claim(ctx)
	}
	unsettled := a.past.Unsettled(a.seq, a.delivery)
	a.info.Repeat = unsettled > 0
	if unsettled >= maxUnsettled {
		return a.poison(ctx, unsettled)
	}
	a.number()
	return mayRun
}

// load reads the attempt record. A record that cannot be read is not overwritten: handling the
// event matters more than counting its attempts, but the count stays.
func (a *attempt) load(ctx context.Context) error {
	again, err := bridge.DecodeAgain(bridge.Header(a.msg.Headers()))
	if err != nil {
		a.consumer.log.Warn("the headers of an event that comes again cannot be read, and are ignored", logEvent(a.event), slog.Any("error", err))
	}
	a.again = again
	if a.past, a.revision, err = a.records.Load(ctx, a.key); err != nil {
		return err
	}
	a.afterDead = a.past.Event == a.event.ID && (a.past.State == attemptrecord.Dead || a.past.AfterDead)
	switch {
	case a.past.State == attemptrecord.Dead && a.afterDead && !a.consumer.cfg.Once:
		a.past = attemptrecord.Record{AfterDead: true} // a redriven event begins anew
	case a.past.Event == "" && again.Attempt > 1:
		// The record has expired; the copy's header holds the number of attempts.
		a.past = attemptrecord.Record{Event: a.event.ID, Failures: again.Attempt - 1, First: again.First}
	}
	return nil
}

// claim makes this attempt the only one on its key, or settles the event without an attempt.
func (a *attempt) claim(ctx context.Context) ready {
	past, event := a.past, a.event.ID
	switch {
	case past.Event == event && past.State == attemptrecord.Done:
		a.info.note.set("the event was done before")
		a.finishAs(ctx, Verdict{Action: ActionDone})
		return settled
	case past.Event != "" && past.Event != event:
		a.err = fmt.Errorf("event %s has the same status of the prediction with other contents, and this consumer acts once", past.Event)
		a.finishAs(ctx, Verdict{Action: ActionDead, Cause: bridge.DeadConflict})
		return settled
	case past.State == attemptrecord.Running && !a.mayTakeOver():
		return a.putOff(errOtherCopy)
	}
	mine := attemptrecord.Record{
		Event: event, State: attemptrecord.Running, AfterDead: a.afterDead, Seq: a.seq, Delivery: a.delivery, At: time.Now().UTC(),
		Failures: past.Failures, First: past.First, Attempts: past.Attempts, Crashes: past.Crashes,
	}
	if past.State == attemptrecord.Dead {
		mine.Failures, mine.First, mine.Attempts = 0, time.Time{}, nil
	}
	if past.State == attemptrecord.Running {
		a.info.Repeat = true
		mine.Crashes++
	}
	a.past = mine
	if mine.Crashes >= maxUnsettled {
		return a.poison(ctx, mine.Crashes)
	}
	if err := a.swap(ctx, mine); err != nil {
		return a.putOff(err)
	}
	a.number()
	return mayRun
}

// mayTakeOver reports whether the attempt that the record calls running has ended. The server
// delivers a message again only when no worker has extended the lease. An attempt on another
// copy of the event has ended when this process has not seen its claim renewed for long enough.
func (a *attempt) mayTakeOver() bool {
	if a.past.Seq == a.seq && a.delivery > a.past.Delivery {
		return true
	}
	if a.consumer.claims.unchanged(a.key, a.revision) <= claimLeases*a.consumer.cfg.Lease {
		return false
	}
	a.consumer.claims.forget(a.key)
	return true
}

// errOtherCopy says that another worker handles another copy of the event now.
var errOtherCopy = errors.New("another copy of the event is being handled")

// putOff has the event come again after a lease, and counts no attempt.
func (a *attempt) putOff(why error) ready {
	if errors.Is(why, attemptrecord.ErrClaimed) || errors.Is(why, errOtherCopy) {
		a.consumer.log.Debug("an event is put off", logEvent(a.event), slog.Any("error", why))
	} else {
		a.consumer.log.Error("an event must wait, since it is not known whether it was handled", logEvent(a.event), slog.Any("error", why))
	}
	if err := a.msg.NakWithDelay(a.consumer.cfg.Lease); err != nil {
		a.consumer.log.Warn("cannot put an event off, it comes again when its lease has run out", slog.Any("error", err))
	}
	return settled
}

// poison makes a dead letter of an event that has killed its handlers.
func (a *attempt) poison(ctx context.Context, times int) ready {
	a.err = fmt.Errorf("delivered %d times without a verdict: the process that handles it dies before it gives one", times)
	a.finishAs(ctx, Verdict{Action: ActionDead, Cause: bridge.DeadPoison})
	return settled
}

// number fills in which attempt this is.
func (a *attempt) number() {
	a.info.Number = a.past.Failures + 1
	a.info.First, a.info.FirstFailed = a.past.First, a.past.FirstFailed()
	if a.past.Failures == 0 {
		a.info.First = a.started
	}
}
