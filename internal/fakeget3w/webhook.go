package fakeget3w

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/internal/signing"
)

// gaps are the documented waits before the second and each further attempt; the documentation
// does not say whether they are gaps or offsets.
var gaps = []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second}

const (
	// patience bounds the wait for an answer, leastPatience the same at any speed, since
	// receivers have no faster clock. It is the longest time that a bridge takes by default.
	patience      = 30 * time.Second
	leastPatience = 5 * time.Second
	// maxAnswer bounds the bytes read of an answer.
	maxAnswer = 64 << 10
)

func newClient(cfg Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: cfg.Senders, MaxIdleConns: 4 * cfg.Senders, MaxConnsPerHost: cfg.Senders,
			IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxAnswer, TLSHandshakeTimeout: patience,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

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
	status, err := p.post(one.webhook, body)
	a.Status = status
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
	case status/100 == 2:
		p.totals.Delivered++
		p.settle(one)
	case n > len(gaps):
		one.abandoned = true
		p.totals.Abandoned++
		p.settle(one)
	default:
		one.timer = time.AfterFunc(p.real(gaps[n-1]), func() { p.due <- one })
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

// post returns the status of the answer, 0 without one.
func (p *Provider) post(address string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(p.stopped, max(p.real(patience), leastPatience))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hookspan-fake-get3w")
	req.Header.Set(signing.Header, signing.Sign(body, p.cfg.Secret))
	res, err := p.client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	// Reading the body lets the connection be reused.
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	return res.StatusCode, nil
}

// withoutURL removes the address, which can hold a path token, from an error.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
