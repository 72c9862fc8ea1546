package consumers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// reportDelay is how long a fault must last until it is reported, so that a single failure
	// between successes costs no message.
	reportDelay = time.Second
	// reportEvery is how often a report is repeated, reportFor how long a report of a killed
	// process stays.
	reportEvery = 30 * time.Second
	reportFor   = 90 * time.Second
	// reportMark is how long the mark stays that replaces a report.
	reportMark = time.Second
	// reportTimeout bounds each call for a report, reportRetry spaces the tries.
	reportTimeout = 2 * time.Second
	reportRetry   = 5 * time.Second
	// gateSlow is for how long no worker must have passed a gate without a [Blocker] until the
	// gate counts as closed.
	gateSlow = 2 * time.Second
)

// reporter tells operators, by a report in the bucket of attempt records, that this process
// fails to handle the events of its consumer. A consumer that does well writes no report.
//
// Each process that shares a durable has a key for its report. A process that succeeds says so
// only while other processes report failures. It looks for such reports once in every interval
// in which it has succeeded.
type reporter struct {
	*Consumer
	blocker Blocker // nil: the gate gives no reason
	key     string
	// Intervals, which tests shorten.
	delay, every, keep time.Duration

	// Owned by the goroutine of run.
	told consumerstate.State // of the report that may be under the key
	last time.Time           // when the report was written
	next time.Time           // when to write it again, or to look for reports of others

	mu        sync.Mutex
	failures  int // attempts that failed in a row
	retried   bool
	first     time.Time // when the first of these attempts began
	latest    time.Time // when the last one ended
	err       string    // of the latest failed attempt
	succeeded bool      // since the reports of others were looked for
	atGate    int       // workers that wait there
	passed    time.Time // when a worker last passed the gate, or the first one came to wait
}

func newReporter(c *Consumer, handler Handler) *reporter {
	r := &reporter{
		Consumer: c, key: c.names.ReportKey(c.cfg.Name, nuid.Next()),
		delay: reportDelay, every: reportEvery, keep: reportFor,
	}
	r.blocker, _ = handler.(Blocker)
	return r
}

func (r *reporter) attempted(a Action, began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch a {
	case ActionDone:
		r.failures, r.succeeded = 0, true
	case ActionRetry, ActionDead:
		if r.failures++; r.failures == 1 {
			r.first, r.retried = began, false
		}
		r.retried = r.retried || a == ActionRetry
		r.latest, r.err = time.Now(), printable.Truncate(err.Error(), consumerstate.MaxReason)
	case ActionSnooze, ActionGiveBack, ActionLeave: // these say nothing of success
	}
}

func (r *reporter) enterGate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.atGate++; r.atGate == 1 {
		r.passed = time.Now()
	}
}

func (r *reporter) leaveGate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atGate--
	r.passed = time.Now()
}

// current returns the report of this process; its state is empty while the process does well.
func (r *reporter) current(now time.Time) consumerstate.Report {
	if r.blocker != nil {
		if since, reason := r.blocker.Blocked(); !since.IsZero() && now.Sub(since) >= r.delay {
			return consumerstate.Report{State: consumerstate.Blocked, Since: since.UTC(), Reason: printable.Truncate(reason, consumerstate.MaxReason)}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.atGate > 0 && now.Sub(r.passed) >= gateSlow:
		return consumerstate.Report{State: consumerstate.Blocked, Since: r.passed.UTC(), Reason: "the handler lets no event be fetched"}
	case r.failures > 0 && !r.retried && now.Sub(r.latest) >= r.keep:
		r.failures = 0 // every failed event is a dead letter, and no event comes any more
	case r.failures > 0 && now.Sub(r.first) >= r.delay:
		return consumerstate.Report{State: consumerstate.Failing, Since: r.first.UTC(), Reason: r.err, Failures: r.failures}
	}
	return consumerstate.Report{}
}

// run reports until ctx ends, and then withdraws its report.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(r.delay)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := r.withdraw(context.WithoutCancel(ctx)); err != nil {
				r.log.Debug("a report could not be withdrawn, it expires by itself", slog.Any("error", err))
			}
			return
		case now := <-tick.C:
			r.look(ctx, now)
		}
	}
}

// look writes the report that is due. A failed write is tried again and logged at debug level
// only: handling does not depend on reports.
func (r *reporter) look(ctx context.Context, now time.Time) {
	report := r.current(now)
	var err error
	switch {
	case report.State != "" && (report.State != r.told || !now.Before(r.next)):
		err = r.tell(ctx, report, now)
	case report.State != "":
	case r.told == consumerstate.Failing || r.told == consumerstate.Blocked:
		err = r.withdraw(ctx)
	case !now.Before(r.next):
		err = r.vouch(ctx, now)
	}
	if err != nil && ctx.Err() == nil {
		r.next = now.Add(min(reportRetry, r.every))
		r.log.Debug("how the consumer does could not be reported", slog.Any("error", err))
	}
}

// tell writes the report. After an error the report may be stored nevertheless.
func (r *reporter) tell(ctx context.Context, report consumerstate.Report, now time.Time) error {
	value, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	r.told, r.last, r.next = report.State, now, now.Add(r.every)
	return r.publish(ctx, &nats.Msg{Subject: r.names.AttemptsSubject(r.key), Data: value}, r.keep)
}

// withdraw replaces the report by a mark that expires soon. The report counts as told until the
// mark is stored or the report has expired.
func (r *reporter) withdraw(ctx context.Context) error {
	if r.told == "" {
		return nil
	}
	mark := &nats.Msg{Subject: r.names.AttemptsSubject(r.key), Header: nats.Header{"KV-Operation": {"DEL"}}}
	err := r.publish(ctx, mark, reportMark)
	if err == nil || time.Since(r.last) > r.keep {
		r.told = ""
	}
	return err
}

// vouch reports that this process succeeds, if it has lately, while other processes report
// failures.
func (r *reporter) vouch(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	succeeded := r.succeeded
	r.succeeded = false
	r.mu.Unlock()
	if !succeeded {
		return nil
	}
	r.next = now.Add(r.every)
	others, err := r.others(ctx)
	if err != nil || !others {
		return err
	}
	return r.tell(ctx, consumerstate.Report{State: consumerstate.Well}, now)
}

// others reports whether another process says that it fails.
func (r *reporter) others(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.names.AttemptsStream())
	if err != nil {
		return false, fmt.Errorf("looking for the reports of other processes: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(r.names.AttemptsSubject(r.names.ReportKey(r.cfg.Name, "*"))))
	if err != nil {
		return false, fmt.Errorf("looking for the reports of other processes: %w", err)
	}
	mine := r.names.AttemptsSubject(r.key)
	for subject := range info.State.Subjects {
		if subject == mine {
			continue
		}
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if err != nil {
			continue // the report has expired meanwhile, or is read the next time
		}
		if report, ok := consumerstate.Decode(bridge.Header(m.Header), m.Data); ok && report.State != consumerstate.Well {
			return true, nil
		}
	}
	return false, nil
}

func (r *reporter) publish(ctx context.Context, m *nats.Msg, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if _, err := r.js.PublishMsg(ctx, m, jetstream.WithMsgTTL(keep)); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	return nil
}
