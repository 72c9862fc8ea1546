package simulate

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	random "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/fakesender"
	"github.com/hookspan/hookspan/internal/sending"
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
	// ended has when each prediction ended, by number; the zero time for one that runs.
	ended sync.Map
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
	count := p.cfg.Outputs.Count
	if _, inline := p.cfg.Sender.Inline(fakesender.Prediction{}); inline {
		count = 0
	} else if p.cfg.Sender.One {
		count = min(count, 1)
	}
	for i := range count {
		names = append(names, fmt.Sprintf("%s-%d.png", p.id(n), i))
	}
	return names
}

// dropped reports whether the webhook of prediction n's end is never sent.
func (p *plan) dropped(n int) bool {
	return !p.cfg.Sender.Posts() || nth(n, p.cfg.DropEvery) && bridge.Terminal(p.status(n)) && !p.broken(n)
}

// prediction returns what the provider tells of prediction n, with at as its end.
func (p *plan) prediction(n int, late bool, at time.Time) fakesender.Prediction {
	r := p.random(n)
	model, status := p.cfg.Models.pick(r), p.cfg.Statuses.pick(r)
	if late {
		status = bridge.StatusProcessing
	}
	told := fakesender.Prediction{ID: p.id(n), Model: model, Status: status, Number: n, Created: at.Add(-3 * time.Second), Ended: at}
	switch {
	case !bridge.Terminal(status):
		told.Ended = time.Time{}
	case status == bridge.StatusFailed:
		told.Error = "out of memory, tried " + strconv.Itoa(1+n%4) + " times"
	case status == bridge.StatusCompleted && !late:
		for _, name := range p.served(n) {
			told.Outputs = append(told.Outputs, p.outputs+name)
		}
	}
	size := p.cfg.Bytes.pick(r)
	if n%everyHard == 1 {
		told.Prompt = sending.Text(r, size/8, true)
	}
	told.Prompt += sending.Text(r, size-len(p.write(told)), false)
	return told
}

// write returns the body of a webhook, or of an answer when the provider sends none.
func (p *plan) write(told fakesender.Prediction) []byte {
	if !p.cfg.Sender.Posts() {
		return p.cfg.Sender.Answer(told)
	}
	return p.cfg.Sender.Webhook(told)
}

// body returns the body of prediction n's webhook, or of the one that comes late.
func (p *plan) body(n int, late bool, at time.Time) []byte {
	told := p.prediction(n, late, at)
	switch {
	case !p.broken(n) || late:
	case n/p.cfg.BreakEvery%2 == 0:
		nobody := told
		nobody.ID, nobody.Prompt = "", told.ID+told.Prompt
		if body := p.write(nobody); bytes.Contains(body, []byte(told.ID)) { // each is another one
			return body
		}
		fallthrough
	default:
		body := p.write(told)
		return body[:len(body)*3/4]
	}
	return p.write(told)
}

// answer returns the body of an event of prediction n that was asked for.
func (p *plan) answer(n int, at time.Time) []byte {
	return p.cfg.Sender.Answer(p.prediction(n, false, at))
}

// find is what the API knows.
func (p *plan) find(id string) (fakesender.Prediction, bool) {
	n, ok := p.serial(id)
	at, begun := p.ended.Load(n)
	if !ok || !begun {
		return fakesender.Prediction{}, false
	}
	if end := at.(time.Time); !end.IsZero() {
		return p.prediction(n, false, end), true
	}
	told := p.prediction(n, true, time.Now())
	return told, true
}

// sign returns the headers of an attempt.
func (p *plan) sign(id string, body, secret []byte) (http.Header, error) {
	return p.cfg.Sender.Sign(fakesender.Message{Prediction: id, At: time.Now(), Body: body}, secret)
}

// forge returns the request of a stranger.
func (p *plan) forge(n int, at time.Time) (http.Header, []byte) {
	told := p.prediction(n, false, at)
	told.ID, told.Status, told.Outputs, told.Error = p.run+forgedMark+strconv.Itoa(n), bridge.StatusCompleted, nil, ""
	told.Ended = at
	body := p.write(told)
	header, err := p.sign(told.ID, body, p.cfg.Secret)
	if err != nil {
		return http.Header{}, body // Run has tried the secret
	}
	signature := p.cfg.Sender.SignatureHeader()
	way := n / p.cfg.ForgeEvery % 4
	if way == 3 && !p.cfg.Sender.CoversBody() {
		way = 1
	}
	switch way {
	case 0:
		guess := []byte("a guess that is as long as a key") // a seed, or text
		if header, err = p.sign(told.ID, body, guess); err != nil {
			header, _ = p.sign(told.ID, body, []byte("whsec_Z3Vlc3M=")) // or base64
		}
	case 1:
		header.Del(signature)
	case 2:
		header.Set(signature, header.Get(signature)[:len(header.Get(signature))/2])
	case 3: // the signature of something else
		var changed map[string]any
		if json.Unmarshal(body, &changed) == nil {
			changed["model"] = "changed"
			body, _ = json.Marshal(changed) // it was JSON before
		}
	}
	return header, body
}
