package fakeget3w

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// object is a prediction on the wire, with the fields in the order of the documentation.
type object struct {
	Code    int             `json:"code,omitempty"` // v1 only
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Status  string          `json:"status"`
	Input   json.RawMessage `json:"input,omitempty"`
	Outputs []string        `json:"outputs,omitzero"`
	Error   string          `json:"error,omitempty"`
	URLs    *urls           `json:"urls,omitempty"`
	Timings *timings        `json:"timings,omitempty"`

	CreatedAt   string `json:"created_at"`
	CompletedAt string `json:"completed_at,omitempty"`
}

type urls struct {
	Get string `json:"get"`
}

type timings struct {
	Inference int64 `json:"inference"` // milliseconds
}

func (one *prediction) accepted() object {
	return object{
		ID: one.id, Model: one.model, Status: statusCreated, CreatedAt: one.created.UTC().Format(timeFormat),
		URLs: &urls{one.base + "/api/v3/predictions/" + one.id},
	}
}

// posted returns the body of a webhook. The caller holds mu.
func (p *Provider) posted(one *prediction) object {
	o := object{ID: one.id, Model: one.model, Status: one.now(), CreatedAt: one.created.UTC().Format(timeFormat)}
	switch o.Status {
	case statusCompleted:
		o.Outputs = p.addresses(one)
		fallthrough
	case statusFailed:
		o.Timings = &timings{one.completed.Sub(one.created).Milliseconds()}
		o.CompletedAt = one.completed.UTC().Format(timeFormat)
		if o.Status == statusFailed {
			o.Error = failure
		}
	default:
		o.Outputs = []string{}
	}
	return o
}

// polled returns the answer to a poll. The caller holds mu.
func (p *Provider) polled(one *prediction) object {
	o := p.posted(one)
	o.Input, o.URLs = one.input, &urls{one.base + "/api/v3/predictions/" + one.id}
	return o
}

// addresses returns the addresses of outputs, each time with another query, as a CDN signs them
// anew for each answer. The query is not checked here.
func (p *Provider) addresses(one *prediction) []string {
	out := make([]string, len(one.outputs))
	for i, path := range one.outputs {
		p.totals.Signed++
		sum := p.derive("address", uint64(p.totals.Signed))
		expires := one.completed.Add(p.real(p.cfg.OutputLife)).Unix()
		out[i] = fmt.Sprintf("%s%s?Expires=%d&Signature=%s", one.base, path, expires, hex.EncodeToString(sum[:16]))
	}
	return out
}
