package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

// What the demo consists of.
const (
	completed = 19
	failed    = 6
	// Which of the completed predictions has the output that is answered 503 at
	// first, and which one the output that is gone; both have three outputs.
	lateIn = 5
	goneIn = 11
)

// fate is what becomes of an output at the provider.
type fate int

const (
	kept fate = iota
	late      // answered 503 once, then served
	gone      // answered 410
)

type output struct {
	name string
	size int
	fate fate
	body []byte // nil: noise
}

type prediction struct {
	id, model string
	failure   string // empty: it is completed
	lost      bool   // its webhook never comes
	outputs   []output
}

// delivery is one request of the sender.
type delivery struct {
	body   []byte
	header http.Header
}

// plan is everything that will happen.
type plan struct {
	predictions map[string]prediction
	// bodies holds, for each prediction, the body that is sent first.
	bodies map[string][]byte
	// jobs are sent side by side, the deliveries of one job in their order.
	jobs [][]delivery
}

var models = []string{"get3w/flux-dev", "black-forest-labs/flux-1.1-pro", "google/veo-3/text-to-video"}

func newPlan(base string, secret []byte, now time.Time) (*plan, error) {
	kind, err := source.KindOf(sourceName)
	if err != nil {
		return nil, err
	}
	p := &plan{predictions: map[string]prediction{}, bodies: map[string][]byte{}}
	w := &writer{kind: kind, base: base, secret: secret, now: now.UTC(), plan: p}
	made := 0 // outputs so far
	for i := range completed + failed {
		pred := prediction{id: fmt.Sprintf("pred_demo_%02d", i+1), model: models[i%len(models)]}
		if i >= completed {
			pred.failure = "the prompt was refused by the safety filter"
		} else {
			pred.outputs = outputsOf(i, made)
			made += len(pred.outputs)
		}
		p.predictions[pred.id] = pred
		w.add(pred, i)
	}
	w.addRefused()
	if w.err != nil {
		return nil, fmt.Errorf("writing webhooks: %w", w.err)
	}
	rand.Shuffle(len(p.jobs), func(i, j int) { p.jobs[i], p.jobs[j] = p.jobs[j], p.jobs[i] })
	return p, nil
}

// outputsOf gives the completed prediction i one to three outputs, each twice as
// large as the one before, from 1 KiB to 2 MiB and then again.
func outputsOf(i, made int) []output {
	outputs := make([]output, 1+i%3)
	for n := range outputs {
		ext := "png"
		if (made+n)%4 == 3 {
			ext = "mp4"
		}
		outputs[n] = output{name: fmt.Sprintf("%02d-%d.%s", i+1, n, ext), size: 1<<(10+(made+n)%12) + made + n}
	}
	switch i {
	case lateIn:
		outputs[1].fate = late
	case goneIn:
		outputs[1].fate = gone
	}
	return outputs
}

// want is what everything must come to.
func (p *plan) want() counts {
	var c counts
	c.answers = answers{stored: completed + failed, duplicate: 5, unauthorized: 4, quarantined: 1}
	c.answers.sent = c.answers.stored + c.answers.duplicate + c.answers.unauthorized + c.answers.quarantined
	c.withheld = withheldCounts{quarantined: c.answers.quarantined, refused: c.answers.unauthorized, explained: c.answers.quarantined + c.answers.unauthorized}
	c.lost = lostCounts{announced: lost, webhooks: lost, askedOnce: lost}
	c.stream = streamCounts{events: completed + failed + lost, completed: completed + lost, failed: failed, intact: completed + failed, polled: lost}
	c.disk = diskCounts{manifests: completed + lost, bodies: completed, lost: lost}
	for _, pred := range p.predictions {
		for _, o := range pred.outputs {
			if o.fate == gone {
				c.disk.gone++
				continue
			}
			c.disk.outputs++
			c.disk.bytes += int64(o.size)
			if o.fate == late {
				c.disk.late++
			}
		}
	}
	c.disk.checksums = c.disk.outputs
	return c
}
