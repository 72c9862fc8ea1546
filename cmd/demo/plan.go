package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

const (
	completed = 19
	failed    = 6
	lost      = 3 // how many predictions the provider runs whose webhook it loses
	// Which of the completed predictions has the output that is answered 503 at
	// first, and which one the output that is gone; both have three outputs.
	lateIn = 5
	goneIn = 11
)

type prediction struct {
	id, model string
	failure   string // empty: it is completed
	lost      bool   // its webhook never comes
	outputs   []output
}

// delivery is one request of the sender. An empty signature is none.
type delivery struct {
	body      []byte
	signature string
}

func sign(body []byte) delivery { return delivery{body, rig.Sign(body)} }

type plan struct {
	base string // of the outputs' addresses
	now  time.Time

	predictions map[string]prediction
	// bodies holds, for each prediction, the body that is sent first.
	bodies map[string][]byte
	jobs   [][]delivery // sent side by side, the deliveries of one job in their order
}

var models = []string{"get3w/flux-dev", "black-forest-labs/flux-1.1-pro", "google/veo-3/text-to-video"}

func newPlan(base string, now time.Time) *plan {
	p := &plan{base: base, now: now, predictions: map[string]prediction{}, bodies: map[string][]byte{}}
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
		p.add(pred, i)
	}
	p.addRefused()
	rand.Shuffle(len(p.jobs), func(i, j int) { p.jobs[i], p.jobs[j] = p.jobs[j], p.jobs[i] })
	return p
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

// webhook is the provider's, with this query behind the addresses of the outputs.
func (p *plan) webhook(pred prediction, query string) sending.Webhook {
	w := sending.NewWebhook(pred.id, pred.model, bridge.StatusCompleted, p.now)
	if pred.failure != "" {
		w.Status, w.Error = bridge.StatusFailed, pred.failure
	}
	for _, o := range pred.outputs {
		w.Outputs = append(w.Outputs, p.base+o.name+query)
	}
	return w
}

// add plans the delivery of prediction i, for some of them with a second one
// that says the same. That is sent after the first was answered.
func (p *plan) add(pred prediction, i int) {
	const ending, other = "?expires=1&sig=a", "?sig=b&expires=2"
	first := p.webhook(pred, ending).Body()
	job := []delivery{sign(first)}
	switch i {
	case 0, 7, completed: // the answer got lost: the same again
		job = append(job, sign(first))
	case 3: // the same in other bytes
		body := rig.Must(json.MarshalIndent(p.webhook(pred, ending), "", "\t"))
		job = append(job, sign([]byte(strings.ReplaceAll(string(body), "/", `\/`))))
	case 9: // the same files under addresses that were signed anew
		job = append(job, sign(p.webhook(pred, other).Body()))
	}
	p.bodies[pred.id] = first
	p.jobs = append(p.jobs, job)
}

// addRefused plans what the bridge must not take: four without a right
// signature, and one with it that no event can be made of.
func (p *plan) addRefused() {
	pred := p.predictions["pred_demo_01"]
	original := rig.Sign(p.webhook(pred, "").Body())
	pred.outputs = append(pred.outputs, output{name: "injected.png"})
	changed := p.webhook(pred, "").Body()
	noID, forged := p.webhook(pred, ""), p.webhook(pred, "")
	noID.ID, forged.ID = "", "pred_demo_forged"
	body := forged.Body()
	for _, d := range []delivery{
		{body, signing.Sign(body, []byte("a guess"))},
		{body, ""},
		{body, rig.Sign(body)[:signing.Length/2]},
		{changed, original},
		sign(noID.Body()),
	} {
		p.jobs = append(p.jobs, []delivery{d})
	}
}

// causes is how many deliveries of the plan have each cause.
var causes = map[string]int64{"no_id": 1, "no_signature": 1, "wrong_length": 1, "wrong_signature": 2}

func (p *plan) want() counts {
	c := counts{
		stored: completed + failed, duplicate: 5, unauthorized: 4, quarantined: 1, sent: completed + failed + 10,
		inQuarantine: 1, refused: 4, explained: 5,
		events: completed + failed + lost, completedEvents: completed + lost, failedEvents: failed, intact: completed + failed,
		manifests: completed + lost, bodies: completed,
		announced: lost, webhooks: lost, polled: lost, askedOnce: lost, lostOutput: lost,
	}
	for _, pred := range p.predictions {
		for _, o := range pred.outputs {
			if o.fate == gone {
				c[goneNamed]++
				continue
			}
			c[outputs]++
			c[bytesKept] += int64(o.size)
			if o.fate == late {
				c[lateKept]++
			}
		}
	}
	c[checksums] = c[outputs]
	return c
}
