package fakeget3w

import (
	"net/http"
	"slices"
	"time"
)

// poll is GET /api/v3/predictions/{id}, …/result and GET /v1/requests/{id}.
func (p *Provider) poll(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.totals.Polls++
	one, ok := p.predictions[idOf(r)]
	if ok {
		one.polls++
	}
	if !ok || one.deleted || one.missing {
		return nil, refuse(http.StatusNotFound, "prediction not found")
	}
	return p.polled(one), nil
}

// pollV1 adds the v1 fields of a task.
func (p *Provider) pollV1(w http.ResponseWriter, r *http.Request) (any, error) {
	data, err := p.poll(w, r)
	if o, ok := data.(object); ok {
		o.Code = http.StatusOK
		if o.Status == statusFailed {
			o.Code = taskFailed
		}
		return o, err
	}
	return data, err
}

const taskFailed = 1403

// remove is DELETE /api/v3/predictions/{id}. It stops a running prediction and sends no webhook
// any more; outputs stay, as documented.
func (p *Provider) remove(_ http.ResponseWriter, r *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.predictions[idOf(r)]
	if !ok || one.deleted {
		return nil, refuse(http.StatusNotFound, "prediction not found")
	}
	one.deleted = true
	if one.status == "" {
		p.running--
		if one.never {
			p.busy++ // settle takes it back
		} else {
			one.timer.Stop()
		}
		one.status = statusDeleted
		close(one.ended)
		p.settle(one)
	}
	return map[string]string{"id": one.id, "status": statusDeleted}, nil
}

const statusDeleted = "deleted"

// models lists some of the provider's models. A submission may name any.
func (p *Provider) models(http.ResponseWriter, *http.Request) (any, error) {
	known := []string{"get3w/flux-dev", "google/nano-banana-pro/text-to-image", "black-forest-labs/flux-1.1-pro"}
	for _, r := range p.cfg.Rules {
		if modelName.MatchString(r.Model) && !slices.Contains(known, r.Model) {
			known = append(known, r.Model)
		}
	}
	out := make([]map[string]string, len(known))
	for i, id := range known {
		out[i] = map[string]string{"model_id": id, "name": id}
	}
	return out, nil
}

const (
	price   = 0.01 // of a prediction, in dollars
	endless = 156.78
)

// balance is GET /api/v3/balance.
func (p *Provider) balance(http.ResponseWriter, *http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := endless
	if p.cfg.Credits > 0 {
		left = float64(p.cfg.Credits-p.totals.Submitted) * price
	}
	return map[string]any{"balance": left, "currency": "USD"}, nil
}

// nothing answers unknown paths.
func (p *Provider) nothing(http.ResponseWriter, *http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, "not found")
}

// output is GET /outputs/{name}, with ranges. It needs no key.
func (p *Provider) output(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	completed, ok := p.holds("/outputs/" + name)
	if !ok {
		http.NotFound(w, r)
		return
	}
	NewContent(name, p.cfg.Seed, p.cfg.OutputBytes).Serve(w, r, completed)
}

// holds reports whether an output exists, and since when.
func (p *Provider) holds(path string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.totals.Downloads++
	one, ok := p.predictions[predictionOf(path)]
	if !ok || one.completed.IsZero() || !slices.Contains(one.outputs, path) || time.Since(one.completed) >= p.real(p.cfg.OutputLife) {
		return time.Time{}, false
	}
	return one.completed, true
}
