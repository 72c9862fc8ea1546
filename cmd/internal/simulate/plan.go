package simulate

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	random "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

// everyHard: one prompt in so many has text that is hard to carry.
const everyHard = 7

// forgedMark is in the id of what strangers send.
const forgedMark = "forged_"

// plan says what each webhook of a run is. All of it follows from the number of the prediction
// and the time of its end, so what was stored is compared without keeping what was sent. It is
// safe for concurrent use.
type plan struct {
	cfg Config
	// run begins every id, so that those of another run are known for such.
	run string
	// outputs is the base of their addresses.
	outputs string
}

func newPlan(cfg Config, outputs string) *plan {
	return &plan{cfg: cfg, run: "sim_" + strings.ToLower(rand.Text()[:8]) + "_", outputs: outputs}
}

func (p *plan) id(n int) string { return fmt.Sprintf("%s%06d", p.run, n) }

// serial is the inverse of id, and false for an id that is not of this run.
func (p *plan) serial(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, p.run)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && p.id(n) == id
}

// random is the same for each look at prediction n.
func (p *plan) random(n int) *random.Rand {
	return random.New(random.NewPCG(p.cfg.Seed, uint64(n))) //nolint:gosec // it must be the same each time
}

func (p *plan) broken(n int) bool { return nth(n, p.cfg.BreakEvery) }

// status returns the status of the prediction's first webhook, as it is sent.
func (p *plan) status(n int) string {
	r := p.random(n)
	p.cfg.Models.pick(r)
	return p.cfg.Statuses.pick(r)
}

// served returns the files of prediction n's outputs.
func (p *plan) served(n int) (names []string) {
	if p.broken(n) || p.status(n) != bridge.StatusCompleted {
		return nil
	}
	for i := range p.cfg.Outputs.Count {
		names = append(names, fmt.Sprintf("%s-%d.png", p.id(n), i))
	}
	return names
}

// body returns the body of prediction n's webhook, or of the one that comes late.
func (p *plan) body(n int, late bool, at time.Time) []byte {
	r := p.random(n)
	model, status := p.cfg.Models.pick(r), p.cfg.Statuses.pick(r)
	if late {
		status = bridge.StatusProcessing
	}
	w := sending.NewWebhook(p.id(n), model, status, at)
	w.Input = map[string]any{"seed": n}
	switch {
	case !bridge.Terminal(status):
		w.Timings, w.CompletedAt = nil, ""
	case status == bridge.StatusFailed:
		w.Error = "out of memory, tried " + strconv.Itoa(1+n%4) + " times"
	case status == bridge.StatusCompleted && !late:
		for _, name := range p.served(n) {
			w.Outputs = append(w.Outputs, p.outputs+name)
		}
	}
	size := p.cfg.Bytes.pick(r)
	hard := ""
	if n%everyHard == 1 {
		hard = sending.Text(r, size/8, true)
	}
	w.Input["prompt"] = hard
	w.Input["prompt"] = hard + sending.Text(r, size-len(w.Body()), false)
	if !p.broken(n) || late {
		return w.Body()
	}
	if n/p.cfg.BreakEvery%2 == 0 {
		w.ID = "" // its address has the id
		return w.Body()
	}
	body := w.Body()
	return body[:len(body)*3/4]
}

// forge returns the request of a stranger.
func (p *plan) forge(n int, at time.Time) (http.Header, []byte) {
	w := sending.NewWebhook(p.run+forgedMark+strconv.Itoa(n), p.cfg.Models[0].Name, bridge.StatusCompleted, at)
	body := w.Body()
	header := sending.Header(body, p.cfg.Secret)
	switch n / p.cfg.ForgeEvery % 4 {
	case 0:
		header = sending.Header(body, []byte("a guess"))
	case 1:
		header.Del(signing.Header)
	case 2:
		header.Set(signing.Header, header.Get(signing.Header)[:signing.Length/2])
	case 3: // the signature of something else
		var changed map[string]any
		if json.Unmarshal(body, &changed) == nil {
			changed["model"] = "changed"
			body, _ = json.Marshal(changed) // it was JSON before
		}
	}
	return header, body
}
