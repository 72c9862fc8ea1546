package poller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// notFoundLimit is how often in a row the provider must not know a prediction before it
	// is given up.
	notFoundLimit = 3
	// failuresTold is how many polls in a row must fail or be put off before an alarm.
	failuresTold = 5
	// maxSaid bounds the kept part of an answer, in bytes.
	maxSaid = 256
)

// poll is one poll of a prediction that was taken from the queue.
type poll struct {
	*sourcePoller
	leadership Leadership
	queue      *queue
	rec        Record
	held       time.Time // not taken again until then, whatever its record says
}

// reply is a provider's answer to a poll.
type reply struct {
	result string        // e.g. pollEnded
	event  *bridge.Event // the prediction's end, if it has one
	said   string        // the provider's status, or the error
	err    error
}

// do polls, acts on the reply and gives the prediction back to the queue. The error is
// [ErrNotLeader]; do logs any other.
func (p *poll) do(ctx context.Context) error {
	defer func() { p.giveBack(ctx, p.queue, &p.rec, later(p.Due(p.rec), p.held)) }()
	if !p.rec.GivenUp.IsZero() {
		p.giveUp(ctx)
		return nil
	}
	// The poll is recorded before it is made: a new leader does not repeat it too early.
	began := time.Now().UTC()
	err := p.change(ctx, func(rec *Record) {
		rec.Polls++
		rec.NotBefore = began.Add(p.backoff(rec))
	})
	if err != nil {
		return p.unsaved(ctx, err)
	}
	a := request(ctx, p.source, p.rec.ID, p.rec.Model, began, p.times.answer)
	if ctx.Err() != nil {
		return nil
	}
	if a.result == pollEnded {
		err := p.publish(ctx, a.event)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, bridge.ErrTooLarge) {
			a = reply{result: pollRefused, err: err, said: said(err)}
		}
	}
	p.metrics.polls.WithLabelValues(p.name, a.result).Inc()
	p.polls.Add(1)
	now := time.Now().UTC()
	p.judge(began, now, a)
	if a.result == pollEnded {
		p.ends.Add(1)
		return nil
	}
	return p.settle(ctx, now, a)
}

// request polls once for a prediction, and waits for the answer no longer than within.
func request(ctx context.Context, cfg SourceConfig, id, model string, now time.Time, within time.Duration) reply {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := cfg.Provider.Result(ctx, id, model)
	var wait *provider.TryLaterError
	switch {
	case errors.As(err, &wait):
		return reply{result: pollLimited, err: err, said: said(err)}
	case errors.Is(err, provider.ErrOpen):
		return reply{result: pollOpen, said: said(err)}
	case errors.Is(err, provider.ErrNoPrediction):
		return reply{result: pollNotFound, err: err, said: said(err)}
	case err != nil:
		return reply{result: pollFailed, err: err, said: said(err)}
	}
	return readReply(cfg.Source, id, body, now)
}

// readReply reads the provider's answer about the prediction with the id.
func readReply(src *source.Source, id string, body []byte, now time.Time) reply {
	e, err := src.ReadAnswer(source.Delivery{
		Body: body, ContentType: "application/json", ReceivedAt: now, Origin: bridge.OriginPoll, AnyAge: true,
	}, id)
	switch {
	case err != nil:
		return reply{result: pollRefused, err: err, said: said(err)}
	case !bridge.Terminal(e.Status):
		return reply{result: pollOpen, said: e.RawStatus}
	}
	return reply{result: pollEnded, event: e, said: e.RawStatus}
}

func said(err error) string { return printable.Truncate(err.Error(), maxSaid) }

// judge tells the throttle how the provider answers, and raises an alarm when polls keep
// failing.
func (p *poll) judge(began, now time.Time, a reply) {
	switch a.result {
	case pollEnded, pollOpen:
		if p.unanswered.Swap(false) {
			p.cfg.Alarms.Raise(bridge.Alarm{Kind: bridge.AlarmPolling, Subject: p.name, Text: answersAgain(p.name), Cleared: true})
		}
		p.throttle.answered(now, true)
	case pollNotFound:
		p.throttle.answered(now, false)
	case pollLimited:
		var wait *provider.TryLaterError
		errors.As(a.err, &wait)
		pauses := p.throttle.later(began, now, wait.After)
		p.log.Info("the provider refuses polls for now", zap.Time("until", p.throttle.pausedUntil()), zap.Error(a.err))
		if pauses >= failuresTold {
			p.raisePolling(fmt.Sprintf("does not let itself be asked, it put off the last %d questions", pauses), a.said)
		}
	case pollFailed, pollRefused:
		failures := p.throttle.failed(began, now)
		p.log.Debug("a poll failed", zap.String("prediction", p.rec.ID), zap.Error(a.err))
		if failures >= failuresTold {
			p.raisePolling(fmt.Sprintf("does not answer as it should, the last %d questions failed", failures), a.said)
		}
	}
}

// raisePolling raises the alarm that polls are in vain; said is the last answer.
func (p *poll) raisePolling(what, said string) {
	p.unanswered.Store(true)
	p.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmPolling, Subject: p.name, Over: answersAgain(p.name),
		Text: printable.Sentences(fmt.Sprintf("the API of %s %s: %s", p.name, what, said),
			fmt.Sprintf("Predictions whose webhook does not come have no end until it does: check sources.%s.api, its base_url and its key", p.name)),
		Details: map[string]any{"source": p.name, "error": said, "paused_until": p.throttle.pausedUntil()},
	})
}

func answersAgain(source string) string { return "the API of " + source + " answers again" }

// settle records the reply about a prediction without an end, and gives the prediction up
// when it is time.
//
// A failed poll counts only while the provider tells of other predictions: with a wrong key
// no prediction is given up. Time counts from the first answer that counts, so it includes
// outages neither of ours nor of the provider's, and a redriven prediction has all of it
// again.
func (p *poll) settle(ctx context.Context, now time.Time, a reply) error {
	before, giveUpAfter := p.rec, p.cfg.GiveUpAfter
	change := func(rec *Record) {
		rec.Said, rec.Failed = a.said, a.result == pollFailed || a.result == pollRefused
		counts := a.result == pollOpen
		switch {
		case a.result == pollNotFound:
			rec.NotFound++
		case a.result == pollOpen:
			rec.NotFound = 0
		case rec.Failed:
			counts = p.throttle.tellsOthers(now)
		}
		if counts && rec.Answered.IsZero() {
			rec.Answered = now
		}
		switch {
		case rec.NotFound >= notFoundLimit:
			rec.GivenUp, rec.Cause = now, bridge.DeadNotFound
		case counts && giveUpAfter > 0 && now.Sub(rec.Answered) >= giveUpAfter:
			rec.GivenUp, rec.Cause = now, bridge.DeadUnfinished
		}
	}
	after := before
	if a.result == pollLimited || func() bool { change(&after); return after == before }() {
		return nil
	}
	if err := p.change(ctx, change); err != nil {
		return p.unsaved(ctx, err)
	}
	if !p.rec.GivenUp.IsZero() {
		p.giveUp(ctx)
	}
	return nil
}

// change reads the prediction's record and writes it changed.
func (p *poll) change(ctx context.Context, change func(*Record)) error {
	ctx, cancel := context.WithTimeout(ctx, p.times.storing)
	defer cancel()
	rec, revision, err := p.leadership.Load(ctx, p.name, p.rec.ID)
	if err != nil {
		return err
	}
	change(&rec)
	if err := p.leadership.Save(ctx, rec, revision); err != nil {
		return err
	}
	p.rec = rec
	return nil
}

// unsaved handles a record that could not be written: the error is [ErrNotLeader] or nil.
func (p *poll) unsaved(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrNotLeader):
		return ErrNotLeader
	case errors.Is(err, ErrNotOpen) || ctx.Err() != nil:
		return nil //nolint:nilerr // there is nothing left to do
	}
	p.log.Warn("the record of a poll could not be written, so the prediction is not polled yet", zap.String("prediction", p.rec.ID), zap.Error(err))
	// The poll waits here, since the queue has no time for it.
	select {
	case <-ctx.Done():
	case <-time.After(p.times.retry):
	}
	return nil
}
