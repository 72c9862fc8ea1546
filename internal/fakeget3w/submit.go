package fakeget3w

import (
	"math"
	"net/http"
	"time"
)

// retryAfter is the wait told to a submission over the limit of tasks, in seconds.
const retryAfter = 1

// submit is POST /api/v3/{model}: it answers at once, at the end (enable_sync_mode), or as a
// stream.
func (p *Provider) submit(w http.ResponseWriter, r *http.Request) (any, error) {
	s, err := readSubmission(w, r)
	if err != nil {
		return nil, err
	}
	one, err := p.accept(s, p.baseOf(r))
	switch {
	case err != nil:
		return nil, err
	case s.stream:
		return nil, p.stream(w, r, one)
	case s.sync:
		return p.awaited(r, one), nil
	}
	return one.accepted(), nil
}

// submitV1 is POST /v1/{model}.
func (p *Provider) submitV1(w http.ResponseWriter, r *http.Request) (any, error) {
	s, err := readSubmission(w, r)
	if err != nil {
		return nil, err
	}
	one, err := p.accept(s, p.baseOf(r))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"id": one.id, "status": statusCreated, "estimated_duration": max(1, int(math.Ceil(one.lasts.Seconds()))),
	}, nil
}

// accept starts a prediction, or returns why not.
func (p *Provider) accept(s *submission, base string) (*prediction, error) {
	one, cut, err := p.begin(s, base)
	if cut {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	return one, err
}

func (p *Provider) begin(s *submission, base string) (one *prediction, cut bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped.Err() != nil:
		return nil, false, refuse(http.StatusServiceUnavailable, "shutting down")
	case p.cfg.Tasks > 0 && p.running >= p.cfg.Tasks:
		p.totals.Limited++
		return nil, false, &apiError{http.StatusTooManyRequests, "concurrent task limit of your tier reached", retryAfter}
	case p.cfg.Credits > 0 && p.totals.Submitted >= p.cfg.Credits:
		return nil, false, refuse(http.StatusForbidden, "insufficient balance")
	case !p.room():
		return nil, false, refuse(http.StatusServiceUnavailable, "all %d predictions that can be kept are unfinished", p.cfg.MaxPredictions)
	}
	f := p.decide(s.model)
	if f.broken {
		return nil, false, refuse(http.StatusInternalServerError, "internal server error")
	}
	return p.start(s, base, f), f.cut, nil
}

// awaited returns the prediction at its end, or as it is when the client disconnects or the
// provider is closed.
func (p *Provider) awaited(r *http.Request, one *prediction) object {
	select {
	case <-one.ended:
	case <-r.Context().Done():
	case <-p.stopped.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.polled(one)
}

// steps is how many progress events a stream has before the end.
const steps = 10

// tick is the time between two of them, with a lower bound so that they leave time for other
// work.
func (one *prediction) tick() time.Duration { return max(one.lasts/steps, 10*time.Millisecond) }
