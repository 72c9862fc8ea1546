package simulate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	// maxConns bounds the requests at a time, and maxFlight the bytes of their bodies, as long
	// as one of them is no larger.
	maxConns  = 128
	maxFlight = 128 << 20
	// maxOpen bounds the webhooks that are neither acknowledged nor given up. The provider
	// ends no further prediction then.
	maxOpen = 20_000
)

// sender plays the provider.
type sender struct {
	*plan
	*account

	schedule sending.Schedule
	client   *sending.Client
	slots    chan struct{} // one for each request
	behind   time.Duration // by which predictions ended later than they were to
}

func newSender(p *plan, a *account) *sender {
	conns := min(maxConns, max(1, maxFlight/max(1, p.cfg.Bytes.Most)))
	s := &sender{plan: p, account: a, schedule: sending.Faster(p.cfg.Sender.Gaps, p.cfg.Sender.Timeout, p.cfg.Speed), slots: make(chan struct{}, conns)}
	s.client = sending.NewClient(sending.Options{Timeout: s.schedule.Timeout, Conns: conns, TLS: p.cfg.TLS})
	return s
}

// run ends one prediction after the other, and returns when every webhook of them is
// acknowledged or given up, or when ctx ends. A sender that was held up makes up for a second.
func (s *sender) run(ctx context.Context) {
	defer s.client.Close()
	var open sync.WaitGroup
	defer open.Wait()
	room := make(chan struct{}, maxOpen)
	due, gap := time.Now(), time.Duration(float64(time.Second)/s.cfg.Rate)
	for n := range s.cfg.Count {
		if held := time.Now().Add(-time.Second); due.Before(held) {
			s.behind += held.Sub(due)
			due = held
		}
		if !backoff.Sleep(ctx, time.Until(due)) {
			return
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		open.Go(func() {
			defer func() { <-room }()
			s.finish(ctx, n)
		})
		due = due.Add(gap)
	}
}

// finish sends everything about prediction n.
func (s *sender) finish(ctx context.Context, n int) {
	if !s.announce(ctx, n) {
		return
	}
	at := time.Now().Truncate(time.Millisecond) // as the body has it
	s.ended.Store(n, at)
	var beside sync.WaitGroup
	defer beside.Wait()
	if nth(n, s.cfg.ForgeEvery) {
		beside.Go(func() {
			header, body := s.forge(n, at)
			if s.slot(ctx) {
				answer, err := s.client.Post(ctx, s.cfg.URL, header, body)
				<-s.slots
				if ctx.Err() == nil || err == nil { // else we have cut it off
					s.forgery(answer, err)
				}
			}
		})
	}
	r := s.begin(&record{n: n, unreadable: s.broken(n), at: at, dropped: s.dropped(n)})
	if r.dropped {
		s.end(r, false)
		return
	}
	twice := nth(n, s.cfg.DuplicateEvery)
	if atOnce := twice && (n/s.cfg.DuplicateEvery)%2 == 0; atOnce {
		beside.Go(func() { s.attempt(ctx, r) })
		twice = false
	}
	s.deliver(ctx, r, twice)
	if nth(n, s.cfg.LateEvery) && bridge.Terminal(s.status(n)) && ctx.Err() == nil {
		s.deliver(ctx, s.begin(&record{n: n, late: true, at: at}), false)
	}
}

// announce tells the bridge of prediction n, if it can ask the provider how the prediction ends. It
// reports whether the provider goes on with it.
func (s *sender) announce(ctx context.Context, n int) bool {
	if s.cfg.APIListen == "" {
		return true
	}
	s.ended.Store(n, time.Time{})
	watch := bridge.Watch{Source: s.cfg.Source, Prediction: s.id(n), Model: s.prediction(n, false, time.Time{}).Model, Deadline: time.Now().Add(time.Second)}
	retry := backoff.Backoff{First: 200 * time.Millisecond, Max: time.Second}
	_, err := s.cfg.API.Watch(ctx, watch)
	for range retries {
		if err == nil || !retry.Wait(ctx) {
			break
		}
		_, err = s.cfg.API.Watch(ctx, watch)
	}
	if err != nil && ctx.Err() == nil {
		s.unannounced(s.id(n), err)
	}
	return ctx.Err() == nil
}

// deliver tries r by the provider's schedule, and once more when it was acknowledged if it is to
// come twice.
func (s *sender) deliver(ctx context.Context, r *record, twice bool) {
	ended := false
	err := s.schedule.Deliver(ctx, func() bool {
		acknowledged, again := s.attempt(ctx, r)
		ended = !acknowledged && !again
		return acknowledged || ended
	})
	if err == nil && twice && !ended {
		s.attempt(ctx, r)
	}
	s.end(r, ended || errors.Is(err, sending.ErrAbandoned))
}

// attempt reports whether r is acknowledged and, if not, whether the sender comes again, as long as
// its schedule goes on.
func (s *sender) attempt(ctx context.Context, r *record) (acknowledged, again bool) {
	if !s.slot(ctx) {
		return false, true
	}
	body := s.body(r.n, r.late, r.at)
	header, err := s.sign(s.id(r.n), body, s.cfg.Secret)
	var answer sending.Answer
	if err == nil {
		answer, err = s.client.Post(ctx, s.cfg.URL, header, body)
	}
	<-s.slots
	if ctx.Err() != nil && err != nil {
		return false, true // we have cut it off
	}
	result, event, why := sending.Outcome(answer, err)
	return s.answered(r, s.id(r.n), result, event, why), err != nil || s.cfg.Sender.ComesAgain(answer.Status)
}

func (s *sender) slot(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// progress says how far the sender is.
func (s *sender) progress() (share float64, words string) {
	t := s.totals()
	return float64(t.finished) / float64(max(s.cfg.Count, t.sent)),
		fmt.Sprintf("sending: %d webhooks, %d acknowledged, %d attempts, %d given up", t.sent, t.acknowledged, t.attempts, t.abandoned)
}
