package fakeget3w

import (
	"context"
	"slices"
	"time"
)

// Totals count what has come about since [New].
type Totals struct {
	// Submitted are the predictions that were accepted, also those whose connection
	// was cut; Refused all requests that were answered with an error, Limited those
	// of them that were over the limit of tasks.
	Submitted int `json:"submitted"`
	Refused   int `json:"refused"`
	Limited   int `json:"limited"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	// Polls are questions for a prediction, also for those that are not there.
	Polls   int `json:"polls"`
	Streams int `json:"streams"`
	// Attempts are posts of webhooks; Delivered, Abandoned and Dropped what became of
	// those webhooks: answered 2xx, tried four times in vain, lost without a try.
	Attempts  int `json:"attempts"`
	Delivered int `json:"delivered"`
	Abandoned int `json:"abandoned"`
	Dropped   int `json:"dropped"`
	// Downloads are requests for outputs, also for those that are not there; Signed
	// the addresses of outputs that were given out.
	Downloads int `json:"downloads"`
	Signed    int `json:"signed"`
}

// Prediction is one that is kept, as it is.
type Prediction struct {
	ID, Model string
	// Status is as a poll would answer it, or "deleted".
	Status    string
	Webhook   string
	CreatedAt time.Time
	// CompletedAt is zero until the end.
	CompletedAt time.Time
	// Outputs are the addresses without their query.
	Outputs []string
	// Polls are the questions for it.
	Polls int
	// Attempts are the posts of its webhook, the first one first.
	Attempts []Attempt
	// Dropped: its webhook is lost, or will be. Abandoned: it was tried four times in
	// vain.
	Dropped, Abandoned bool
}

// Attempt is one post of a webhook.
type Attempt struct {
	At time.Time
	// Status is the answer's, 0 where none came; then Error says why.
	Status int
	Error  string
}

// Totals returns the counts.
func (p *Provider) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.totals
}

// Predictions are all that are kept, as they were submitted.
func (p *Provider) Predictions() []Prediction {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Prediction, 0, p.order.Len())
	for e := p.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*prediction).shown())
	}
	return out
}

// Prediction is the one of that id, false when it is not kept.
func (p *Provider) Prediction(id string) (Prediction, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.predictions[id]
	if !ok {
		return Prediction{}, false
	}
	return one.shown(), true
}

// Drop loses the webhook of a prediction from now on: an attempt that is on its way
// may still arrive. It is false when there is none to come.
func (p *Provider) Drop(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.predictions[id]
	if !ok || one.settled || one.deleted || one.webhook == "" {
		return false
	}
	one.dropped = true
	return true
}

// Settled returns nil once every prediction, but those that never end, has ended and
// its webhook was taken, abandoned or dropped, and the error of ctx when that ends
// first.
func (p *Provider) Settled(ctx context.Context) error {
	p.mu.Lock()
	if p.busy == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.quiet == nil {
		p.quiet = make(chan struct{})
	}
	quiet := p.quiet
	p.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shown is called with mu held.
func (one *prediction) shown() Prediction {
	s := Prediction{
		ID: one.id, Model: one.model, Status: one.now(), Webhook: one.webhook, CreatedAt: one.created, CompletedAt: one.completed,
		Polls: one.polls, Attempts: slices.Clone(one.attempts), Dropped: one.dropped, Abandoned: one.abandoned,
	}
	if one.deleted {
		s.Status = statusDeleted
	}
	if one.status == statusCompleted {
		for _, path := range one.outputs {
			s.Outputs = append(s.Outputs, one.base+path)
		}
	}
	return s
}
