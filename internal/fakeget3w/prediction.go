package fakeget3w

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// The provider's states, which are also ours.
const (
	statusCreated    = bridge.StatusCreated
	statusProcessing = bridge.StatusProcessing
	statusCompleted  = bridge.StatusCompleted
	statusFailed     = bridge.StatusFailed
)

const timeFormat = "2006-01-02T15:04:05.000Z"

const failure = "the model ran into an error"

// prediction is an accepted prediction. The fields above the line never change.
type prediction struct {
	id, model string
	base      string // the provider's own address, as its client knows it
	webhook   string
	input     json.RawMessage
	outputs   []string // paths
	created   time.Time
	lasts     time.Duration // by the clock
	fails     bool
	never     bool
	missing   bool
	// ended is closed at the end or at a deletion, otherwise never.
	ended chan struct{}

	// ---- guarded by Provider.mu
	status    string // "" while it runs
	deleted   bool
	dropped   bool
	abandoned bool
	settled   bool // nothing is to come of it
	completed time.Time
	polls     int
	attempts  []Attempt
	timer     *time.Timer // its end, or the next attempt to post its webhook
	place     *list.Element
}

type fate struct {
	Rule
	fail, never, drop, missing, cut, broken bool
}

// decide counts a submission for its rule. The caller holds mu.
func (p *Provider) decide(model string) fate {
	at := slices.IndexFunc(p.cfg.Rules, func(r Rule) bool {
		return bridge.Filter{Model: r.Model}.Match(&bridge.Event{Model: model})
	})
	r := p.cfg.Rules[at] // the last one fits all
	p.fits[at]++
	nth := func(every int) bool { return every > 0 && p.fits[at]%every == 0 }
	return fate{
		Rule: r, fail: nth(r.FailEvery), never: nth(r.NeverEvery), drop: nth(r.DropEvery),
		missing: nth(r.MissingEvery), cut: nth(r.CutEvery), broken: nth(r.ErrorEvery),
	}
}

// start makes a prediction of a submission, and starts its timer. The caller holds mu.
func (p *Provider) start(s *submission, base string, f fate) *prediction {
	p.ids++
	sum := p.derive("id", p.ids)
	one := &prediction{
		id: "pred_" + hex.EncodeToString(sum[:10]), model: s.model, base: base, webhook: s.webhook, input: s.input,
		created: time.Now(), lasts: p.real(f.Duration), fails: f.fail, never: f.never, missing: f.missing, dropped: f.drop,
		ended: make(chan struct{}),
	}
	if !f.fail {
		for i, ext := range f.Outputs {
			one.outputs = append(one.outputs, fmt.Sprintf("/outputs/%s-%d%s", one.id, i, ext))
		}
	}
	p.predictions[one.id] = one
	one.place = p.order.PushBack(one)
	p.running++
	p.totals.Submitted++
	if !one.never {
		p.busy++
		one.timer = time.AfterFunc(one.lasts, func() { p.finish(one) })
	}
	return one
}

// derive returns a number made of the seed, what and n.
func (p *Provider) derive(what string, n uint64) [sha256.Size]byte {
	text := binary.BigEndian.AppendUint64(nil, p.cfg.Seed)
	text = binary.BigEndian.AppendUint64(append(text, what...), n)
	return sha256.Sum256(text)
}

func (p *Provider) finish(one *prediction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Err() != nil || one.deleted {
		return
	}
	one.status = statusCompleted
	p.totals.Completed++
	if one.fails {
		one.status = statusFailed
		p.totals.Completed--
		p.totals.Failed++
	}
	one.completed = time.Now()
	p.running--
	close(one.ended)
	if one.webhook == "" {
		p.settle(one)
		return
	}
	p.due <- one
}

// settle notes that nothing is to come of a prediction. The caller holds mu.
func (p *Provider) settle(one *prediction) {
	one.timer, one.settled = nil, true
	p.settled.PushBack(one)
	p.busy--
	if p.busy == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// room makes room for one more prediction if possible. The caller holds mu.
func (p *Provider) room() bool {
	if len(p.predictions) < p.cfg.MaxPredictions {
		return true
	}
	oldest := p.settled.Front()
	if oldest == nil {
		return false
	}
	one := p.settled.Remove(oldest).(*prediction)
	p.order.Remove(one.place)
	delete(p.predictions, one.id)
	return true
}

// now returns the status. The caller holds mu.
func (one *prediction) now() string {
	switch {
	case one.status != "":
		return one.status
	case time.Since(one.created) < one.lasts/10:
		return statusCreated
	}
	return statusProcessing
}
