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
	s := &sender{plan: p, account: a, schedule: sending.NewSchedule(p.cfg.Speed), slots: make(chan struct{}, conns)}
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
	at := time.Now().Truncate(time.Millisecond) // as the body has it
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
	r := s.begin(&record{n: n, unreadable: s.broken(n), at: at})
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

// deliver tries r by the provider's schedule, and once more when it was acknowledged if it is to
// come twice.
func (s *sender) deliver(ctx context.Context, r *record, twice bool) {
	err := s.schedule.Deliver(ctx, func() bool { return s.attempt(ctx, r) })
	if err == nil && twice {
		s.attempt(ctx, r)
	}
	s.end(r, errors.Is(err, sending.ErrAbandoned))
}

// attempt reports whether r is acknowledged.
func (s *sender) attempt(ctx context.Context, r *record) bool {
	if !s.slot(ctx) {
		return false
	}
	body := s.body(r.n, r.late, r.at)
	answer, err := s.client.Post(ctx, s.cfg.URL, sending.Header(body, s.cfg.Secret), body)
	<-s.slots
	if ctx.Err() != nil && err != nil {
		return false // we have cut it off
	}
	result, event, why := sending.Outcome(answer, err)
	return s.answered(r, s.id(r.n), result, event, why)
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
