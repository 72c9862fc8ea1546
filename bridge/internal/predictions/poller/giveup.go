package poller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
	"github.com/hookspan/hookspan/internal/streamread"
)

// giveUp gives up a prediction whose record says so: with a dead letter, an alarm and an
// event, in this order. The record goes once the event is folded. Until then each leader
// repeats all of it with the same message ids, so a crash in between loses nothing and
// duplicates nothing. While no dead letter can be stored, other predictions are polled.
func (p *poll) giveUp(ctx context.Context) {
	lost := lostOf(&p.rec)
	err := p.storeDeadLetter(ctx, lost, true)
	if errors.Is(err, bridge.ErrTooLarge) {
		// Headers of a dead letter may make the event too large for a message.
		err = p.storeDeadLetter(ctx, lost, false)
	}
	if err == nil {
		p.raiseLost(lost)
		err = p.tryTo(ctx, "giving up a prediction", bridge.ErrTooLarge, p.open, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, p.times.storing)
			defer cancel()
			e, err := lost.Event()
			if err != nil {
				return err
			}
			_, err = p.store.Publish(ctx, e)
			return err
		})
	}
	if err == nil || ctx.Err() != nil || !p.open(ctx) {
		return
	}
	p.log.Error("a prediction cannot be given up yet", zap.String("prediction", p.rec.ID), zap.Error(err))
	if p.held = time.Now().Add(p.times.backoffMax); !errors.Is(err, bridge.ErrTooLarge) {
		p.held = time.Now().Add(p.times.retryMax)
		p.noDeadLetters.Store(&p.held)
	}
}

func (p *poll) storeDeadLetter(ctx context.Context, lost *bridge.Lost, whole bool) error {
	ctx, cancel := context.WithTimeout(ctx, p.times.storing)
	defer cancel()
	m, err := p.deadLetter(ctx, lost, whole)
	if err != nil {
		return err
	}
	if _, err := p.store.Store(ctx, p.cfg.Names.DeadStream(), m); err != nil {
		return fmt.Errorf("making a dead letter: %w", err)
	}
	return nil
}

// lostOf says why a prediction is given up, from its record alone.
func lostOf(rec *Record) *bridge.Lost {
	lost := &bridge.Lost{
		Source: rec.Source, Prediction: rec.ID, Model: rec.Model, Cause: rec.Cause,
		Polls: rec.Polls, Since: rec.FirstSeen.UTC(), LostAt: rec.GivenUp.UTC(),
	}
	switch {
	case rec.Cause == bridge.DeadNotFound:
		lost.Error = fmt.Sprintf("the provider does not know it, as it said %d times in a row", rec.NotFound)
	case rec.Failed:
		lost.Error = "it cannot be polled for, although others can: " + rec.Said
	default:
		lost.Status = rec.Said
		lost.Error = fmt.Sprintf("it has no end, the provider says that it is %q", rec.Said)
	}
	return lost
}

// deadLetter returns the dead letter of a prediction: with whole, of the message that
// announced it; otherwise of a short one that says the same.
func (p *poll) deadLetter(ctx context.Context, lost *bridge.Lost, whole bool) (*nats.Msg, error) {
	names := p.cfg.Names
	dead := bridge.DeadLetter{
		Consumer: bridge.PredictionsConsumer, Cause: lost.Cause, Fault: lost.Cause.Fault(), Error: lost.Error,
		Attempts: lost.Polls, History: []bridge.FailedAttempt{{At: lost.LostAt, Error: p.rec.Said}},
	}
	e, header, err := p.announced(ctx, whole)
	if err != nil {
		return nil, err
	}
	dead.Subject, dead.Sequence = e.Subject, e.Sequence
	if again, err := bridge.DecodeAgain(header); err == nil {
		dead.Redrives = again.Redrives
	}
	out := dead.Header(header)
	// The time tells a prediction that is given up again from the first time.
	out[bridge.HeaderMsgID] = []string{dead.ID(e.ID + "/" + lost.LostAt.Format(time.RFC3339Nano))}
	return &nats.Msg{Subject: names.Dead(bridge.PredictionsConsumer, e.Subject), Header: nats.Header(out), Data: e.Body}, nil
}

// announced returns the event that announced the prediction and its header. When that event
// is gone or not wanted, it makes one that says the same.
func (p *poll) announced(ctx context.Context, whole bool) (*bridge.Event, bridge.Header, error) {
	e, header, err := p.announcement(ctx)
	if err != nil || e != nil && whole {
		return e, header, err
	}
	w := bridge.Watch{Source: p.name, Prediction: p.rec.ID, Model: p.rec.Model, EstimatedDuration: p.rec.Estimate}
	s, err := p.states.Prediction(ctx, p.name, p.rec.ID)
	if err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return nil, nil, err
	}
	if err == nil && s.Announced != nil {
		a := s.Announced
		w.Deadline, w.Submitted = a.Deadline, a.Submitted
		w.Reference, w.Tenant, w.Metadata = a.Reference, a.Tenant, a.Metadata
	}
	if e, err = w.Event(p.rec.FirstSeen.UTC()); err != nil {
		return nil, nil, err
	}
	e.Subject = p.cfg.Names.SubjectOf(e)
	return e, e.Header(), nil
}

// announcement returns the event that announced the prediction, nil when it is gone.
func (p *poll) announcement(ctx context.Context) (*bridge.Event, bridge.Header, error) {
	stream, err := streamread.Open(ctx, p.js, p.cfg.Names.EventsStream())
	if err != nil {
		return nil, nil, err
	}
	m, err := streamread.Get(ctx, stream, p.rec.Sequence)
	if errors.Is(err, bridge.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	header := bridge.Header(m.Header)
	e, err := bridge.DecodeEvent(header, m.Data)
	if err != nil || e.Source != p.name || e.PredictionID != p.rec.ID {
		// A new stream has other events at these sequences.
		return nil, nil, nil //nolint:nilerr // the event is of another prediction
	}
	e.Subject, e.Sequence = m.Subject, m.Sequence
	return e, header, nil
}

// raiseLost counts a lost prediction and raises an alarm. Lost predictions of one source
// share an alarm.
func (p *poll) raiseLost(lost *bridge.Lost) {
	p.metrics.lost.WithLabelValues(p.name, string(lost.Cause)).Inc()
	total := p.lost.Add(1)
	look := "check that they are submitted to the account whose key sources." + p.name + ".api has, and its base_url"
	if lost.Cause == bridge.DeadUnfinished {
		look = "ask the provider what has become of them"
	}
	p.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmPredictionLost, Subject: p.name,
		Text: printable.Sentences(fmt.Sprintf("prediction %q of %s was given up (%s): %s", lost.Prediction, p.name, lost.Cause, lost.Error),
			fmt.Sprintf("This process has given up %d of them. They are dead letters of %s: %s, and then give them to it again with hookspan dead redrive --consumer %s",
				total, bridge.PredictionsConsumer, look, bridge.PredictionsConsumer)),
		Details: map[string]any{"source": p.name, "prediction": lost.Prediction, "cause": lost.Cause, "polls": lost.Polls, "given_up": total},
	})
}
