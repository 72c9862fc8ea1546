package fakeget3w

import (
	"time"

	"github.com/hookspan/hookspan/internal/sending"
)

// send posts due webhooks until the provider is closed.
func (p *Provider) send() {
	for {
		select {
		case <-p.stopped.Done():
			return
		case one := <-p.due:
			p.deliver(one)
		}
	}
}

// deliver makes one attempt, and schedules the next one.
func (p *Provider) deliver(one *prediction) {
	p.mu.Lock()
	if p.withdrawn(one) {
		p.mu.Unlock()
		return
	}
	body := encode(p.posted(one))
	p.mu.Unlock()

	a := Attempt{At: time.Now()}
	header := sending.Header(body, p.cfg.Secret)
	header.Set("User-Agent", "hookspan-fake-get3w")
	answer, err := p.client.Post(p.stopped, one.webhook, header, body)
	a.Status = answer.Status
	if err != nil {
		a.Error = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Err() != nil {
		return
	}
	one.attempts = append(one.attempts, a)
	p.totals.Attempts++
	n := len(one.attempts)
	switch {
	case answer.Status/100 == 2:
		p.totals.Delivered++
		p.settle(one)
	case n > len(p.schedule.Gaps):
		one.abandoned = true
		p.totals.Abandoned++
		p.settle(one)
	default:
		one.timer = time.AfterFunc(p.schedule.Gaps[n-1], func() { p.due <- one })
	}
}

func (p *Provider) withdrawn(one *prediction) bool {
	if one.dropped {
		p.totals.Dropped++
	}
	if one.dropped || one.deleted {
		p.settle(one)
		return true
	}
	return false
}
