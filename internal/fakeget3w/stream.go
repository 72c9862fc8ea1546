package fakeget3w

import (
	"net/http"
	"time"
)

type progress struct {
	ID       string   `json:"id"`
	Status   string   `json:"status"`
	Progress *float64 `json:"progress,omitempty"`
	Outputs  []string `json:"outputs,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// stream answers a submission with Server-Sent Events until the end. A client that disconnects
// ends only the stream: the prediction runs on, and its webhook is sent.
func (p *Provider) stream(w http.ResponseWriter, r *http.Request, one *prediction) error {
	p.count(func(t *Totals) { t.Streams++ })
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w)
	tell := func(e progress) error {
		if _, err := w.Write([]byte("data: " + string(encode(e)) + "\n\n")); err != nil {
			return err
		}
		return flush.Flush()
	}
	ticks := time.NewTicker(one.tick())
	defer ticks.Stop()
	for n := 0; ; n++ {
		// A prediction without an end keeps sending progress, so that clients see that it
		// lives.
		share := float64(min(n, steps-1)) / steps
		if err := tell(progress{ID: one.id, Status: statusProcessing, Progress: &share}); err != nil {
			return errAnswered
		}
		select {
		case <-ticks.C:
		case <-one.ended:
			_ = tell(p.last(one)) // the client is gone
			return errAnswered
		case <-r.Context().Done():
			return errAnswered
		case <-p.stopped.Done():
			return errAnswered
		}
	}
}

func (p *Provider) last(one *prediction) progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.posted(one)
	return progress{ID: o.ID, Status: o.Status, Outputs: o.Outputs, Error: o.Error}
}
