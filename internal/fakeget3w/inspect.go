package fakeget3w

import (
	"context"
	"slices"
	"time"
)

// Totals are counts since [New].
type Totals struct {
	// Submitted are accepted predictions, including those whose connection was cut; Refused all
	// requests answered with an error, of which Limited were over the limit of tasks.
	Submitted int `json:"submitted"`
	Refused   int `json:"refused"`
	Limited   int `json:"limited"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	// Polls are polls of predictions, also of unknown ones.
	Polls   int `json:"polls"`
	Streams int `json:"streams"`
	// Attempts are posts of webhooks. Their webhooks end as Delivered: answered 2xx; Abandoned:
	// tried four times in vain; Dropped: never tried.
	Attempts  int `json:"attempts"`
	Delivered int `json:"delivered"`
	Abandoned int `json:"abandoned"`
	Dropped   int `json:"dropped"`
	// Downloads are requests for outputs, also for unknown ones; Signed the returned addresses
	// of outputs.
	Downloads int `json:"downloads"`
	Signed    int `json:"signed"`
}

// Prediction is a kept prediction.
type Prediction struct {
	ID, Model string
	// Status is that of a poll, or "deleted".
	Status    string
	Webhook   string
	CreatedAt time.Time
	// CompletedAt is zero until the end.
	CompletedAt time.Time
	// Outputs are the addresses without their query.
	Outputs []string
	// Polls is how often it was polled.
	Polls int
	// Attempts are the posts of its webhook, in order.
	Attempts []Attempt
	// Dropped: its webhook is or will be lost. Abandoned: the webhook was tried four times in
	// vain.
	Dropped, Abandoned bool
}

// Attempt is one post of a webhook.
type Attempt struct {
	At time.Time
	// Status is that of the answer, 0 without an answer; then Error says why.
	Status int
	Error  string
}

// Totals returns the counts.
func (p *Provider) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.totals
}

// Predictions returns all kept predictions, in the order of submission.
func (p *Provider) Predictions() []Prediction {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Prediction, 0, p.order.Len())
	for e := p.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*prediction).shown())
	}
	return out
}

// Prediction returns the prediction of that id, false if it is not kept.
func (p *Provider) Prediction(id string) (Prediction, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.predictions[id]
	if !ok {
		return Prediction{}, false
	}
	return one.shown(), true
}

// Drop loses the webhook of a prediction from now on: an attempt on its way may still arrive.
// It returns false when no webhook is to come.
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

// Settled returns nil once every prediction, except those that never end, has ended and its
// webhook was delivered, abandoned or dropped, and the error of ctx if that ends first.
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

// shown requires Provider.mu.
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
