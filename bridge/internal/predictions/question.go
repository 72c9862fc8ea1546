package predictions

import (
	"cmp"
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
	// notFoundLimit is how often in a row the provider must not know a prediction for
	// it to be given up.
	notFoundLimit = 3
	// failuresTold is how many questions must fail, or be put off, in a row for it to be
	// an alarm.
	failuresTold = 5
	// maxSaid bounds what is kept of an answer, in bytes.
	maxSaid = 256
	// saves is how often a record is tried to be written that changes meanwhile.
	saves = 3
)

var errMeanwhile = errors.New("its record is written by others all the time")

// question is that for one prediction, which it has taken from the list.
type question struct {
	*asked
	desk desk
	list *worklist
	it   item
	held time.Time // until when it is not taken again, whatever its record says
}

// answer is what the provider said.
type answer struct {
	result string        // e.g. pollEnded
	event  *bridge.Event // that it is, when the prediction has its end
	said   string        // the status as the provider wrote it, or the error
	err    error
}

// ask asks, sees to what was answered and gives the prediction back. The error is
// errTermOver; whatever else goes wrong is seen to.
func (q *question) ask(ctx context.Context) error {
	defer q.list.give(q.it.ID, func(it *item) { it.due = later(q.due(it.openRecord), q.held) })
	if !q.it.GivenUp.IsZero() {
		q.bury(ctx)
		return nil
	}
	// It is written first that it was asked: who takes over in between does not ask
	// again before its time.
	began := time.Now().UTC()
	err := q.change(ctx, func(rec *openRecord) {
		rec.Polls++
		rec.NotBefore = began.Add(q.backoff(rec))
	})
	if err != nil {
		return q.unsaved(ctx, err)
	}
	a := q.answer(ctx, began)
	if ctx.Err() != nil {
		return nil
	}
	if a.result == pollEnded {
		err := q.publish(ctx, a.event)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, bridge.ErrTooLarge) {
			a = answer{result: pollRefused, err: err, said: said(err)}
		}
	}
	q.metrics.polls.WithLabelValues(q.name, a.result).Inc()
	q.questions.Add(1)
	now := time.Now().UTC()
	q.judge(began, now, a)
	if a.result == pollEnded {
		q.ends.Add(1)
		return nil
	}
	return q.settle(ctx, now, a)
}

// answer asks and reads what is answered.
func (q *question) answer(ctx context.Context, now time.Time) answer {
	ctx, cancel := context.WithTimeout(ctx, q.times.answer)
	defer cancel()
	body, err := q.source.Asker.Result(ctx, q.it.ID)
	var wait *provider.TryLaterError
	switch {
	case errors.As(err, &wait):
		return answer{result: pollLimited, err: err, said: said(err)}
	case errors.Is(err, provider.ErrNoPrediction):
		return answer{result: pollNotFound, err: err, said: said(err)}
	case err != nil:
		return answer{result: pollFailed, err: err, said: said(err)}
	}
	return readAnswer(q.source.Source, q.it.ID, body, now)
}

// readAnswer reads the prediction that the provider wrote for the one with the id.
func readAnswer(src *source.Source, id string, body []byte, now time.Time) answer {
	e, err := src.Read(source.Delivery{
		Body: body, ContentType: "application/json", ReceivedAt: now, Origin: bridge.OriginPoll, AnyAge: true,
	})
	if err == nil && e.PredictionID != id {
		err = fmt.Errorf("the answer is about prediction %q", printable.Truncate(e.PredictionID, maxSaid))
	}
	switch {
	case err != nil:
		return answer{result: pollRefused, err: err, said: said(err)}
	case !bridge.Terminal(e.Status):
		return answer{result: pollOpen, said: e.RawStatus}
	}
	return answer{result: pollEnded, event: e, said: e.RawStatus}
}

func said(err error) string { return printable.Truncate(err.Error(), maxSaid) }

// judge tells the throttle how the provider answers, and people when it does not.
func (q *question) judge(began, now time.Time, a answer) {
	switch a.result {
	case pollEnded, pollOpen:
		q.throttle.answered(now, true)
	case pollNotFound:
		q.throttle.answered(now, false)
	case pollLimited:
		var wait *provider.TryLaterError
		errors.As(a.err, &wait)
		pauses := q.throttle.later(began, now, wait.After)
		q.log.Info("the provider does not want to be asked now", zap.Time("until", q.throttle.pausedUntil()), zap.Error(a.err))
		if pauses >= failuresTold {
			q.raisePolling(fmt.Sprintf("does not let itself be asked, it put off the last %d questions", pauses), a.said)
		}
	case pollFailed, pollRefused:
		failures := q.throttle.failed(began, now)
		q.log.Debug("a question was not answered", zap.String("prediction", q.it.ID), zap.Error(a.err))
		if failures >= failuresTold {
			q.raisePolling(fmt.Sprintf("does not answer as it should, the last %d questions failed", failures), a.said)
		}
	}
}

// raisePolling tells people that questions are in vain; what says since how many, said
// is the last answer.
func (q *question) raisePolling(what, said string) {
	q.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmPolling, Subject: q.name,
		Text: printable.Sentences(fmt.Sprintf("the API of %s %s: %s", q.name, what, said),
			fmt.Sprintf("Predictions whose webhook does not come have no end until it does: check sources.%s.api, its base_url and its key", q.name)),
		Details: map[string]any{"source": q.name, "error": said, "paused_until": q.throttle.pausedUntil()},
	})
}

// settle writes what was answered for a prediction that has no end yet, and gives it up
// when it is time.
//
// A question that fails says nothing of its prediction: with a wrong key none is ever
// given up. It counts only while the provider tells of others. Time counts from the
// first answer that counts, so neither an outage of ours nor one of the provider's is
// part of it, and one that comes again out of its dead letter has all of it once more.
func (q *question) settle(ctx context.Context, now time.Time, a answer) error {
	before, giveUpAfter := q.it.openRecord, q.cfg.GiveUpAfter
	change := func(rec *openRecord) {
		rec.Said, rec.Failed = a.said, a.result == pollFailed || a.result == pollRefused
		counts := a.result == pollOpen
		switch {
		case a.result == pollNotFound:
			rec.NotFound++
		case a.result == pollOpen:
			rec.NotFound = 0
		case rec.Failed:
			counts = q.throttle.tellsOthers(now)
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
	if err := q.change(ctx, change); err != nil {
		return q.unsaved(ctx, err)
	}
	if !q.it.GivenUp.IsZero() {
		q.bury(ctx)
	}
	return nil
}

// change writes the record of the prediction, which the ledger may write at the same
// time.
func (q *question) change(ctx context.Context, change func(*openRecord)) error {
	ctx, cancel := context.WithTimeout(ctx, q.times.storing)
	defer cancel()
	var err error
	for range saves {
		it, open := q.list.get(q.it.ID)
		if !open {
			return errNotOpen
		}
		change(&it.openRecord)
		_, err = q.desk.save(ctx, it.openRecord, it.revision)
		if errors.Is(err, errNotOpen) || errors.Is(err, errTermOver) {
			return err
		}
		have, open := q.list.get(q.it.ID)
		switch {
		case !open:
			return errNotOpen
		case err == nil && have.Polls == it.Polls:
			q.it = have
			return nil
		}
		// Something else was written meanwhile, at worst that it is to be asked for anew.
	}
	return cmp.Or(err, errMeanwhile)
}

// unsaved sees to a record that could not be written: the error is errTermOver or nil.
func (q *question) unsaved(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errTermOver):
		return errTermOver
	case !q.open() || ctx.Err() != nil:
		return nil //nolint:nilerr // there is nothing left to do
	}
	q.log.Warn("the ledger could not be written, so the prediction is not asked for yet", zap.String("prediction", q.it.ID), zap.Error(err))
	// It is held back here, since the list knows no time for it.
	select {
	case <-ctx.Done():
	case <-time.After(q.times.retry):
	}
	return nil
}
