package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

// writer writes deliveries as the provider does. It keeps the first error.
type writer struct {
	kind   source.Kind
	base   string
	secret []byte
	now    time.Time
	plan   *plan
	err    error
}

// add plans the delivery of prediction i, for some of them with a second one
// that says the same. That is sent after the first was answered.
func (w *writer) add(pred prediction, i int) {
	const ending, other = "?expires=1&sig=a", "?sig=b&expires=2"
	first := w.encode(w.fields(pred, ending))
	job := []delivery{w.sign(first)}
	switch i {
	case 0, 7, completed: // the answer got lost: the same again
		job = append(job, w.sign(first))
	case 3: // the same in other bytes
		body, err := json.MarshalIndent(w.fields(pred, ending), "", "\t")
		w.keep(err)
		body = []byte(strings.ReplaceAll(string(body), "/", `\/`))
		job = append(job, w.sign(body))
	case 9: // the same files under addresses that were signed anew
		job = append(job, w.sign(w.encode(w.fields(pred, other))))
	}
	w.plan.bodies[pred.id] = first
	w.plan.jobs = append(w.plan.jobs, job)
}

// addRefused plans what the bridge must not take: four without a right
// signature, and one with it that no event can be made of.
func (w *writer) addRefused() {
	pred := w.plan.predictions["pred_demo_01"]
	original := w.encode(w.fields(pred, ""))
	pred.outputs = append(pred.outputs, output{name: "injected.png"})
	changed := w.encode(w.fields(pred, ""))
	pred.id = "pred_demo_forged"
	forged := w.encode(w.fields(pred, ""))

	wrongSecret := w.sign(forged)
	wrongSecret.header = http.Header(w.kind.Sign(forged, []byte("a guess")))
	noSignature := delivery{body: forged, header: http.Header{}}
	cutSignature := w.sign(forged)
	for name, values := range cutSignature.header {
		cutSignature.header[name] = []string{values[0][:32]}
	}
	changedBody := w.sign(original)
	changedBody.body = changed
	noID := w.fields(pred, "")
	delete(noID, "id")
	for _, d := range []delivery{wrongSecret, noSignature, cutSignature, changedBody, w.sign(w.encode(noID))} {
		w.plan.jobs = append(w.plan.jobs, []delivery{d})
	}
}

// fields are those of the provider's webhook.
func (w *writer) fields(pred prediction, query string) map[string]any {
	const layout = "2006-01-02T15:04:05.000Z"
	fields := map[string]any{
		"id": pred.id, "model": pred.model, "status": "completed", "timings": map[string]int{"inference": 2500},
		"created_at": w.now.Add(-3 * time.Second).Format(layout), "completed_at": w.now.Format(layout),
	}
	if pred.failure != "" {
		fields["status"], fields["error"] = "failed", pred.failure
		return fields
	}
	var urls []string
	for _, o := range pred.outputs {
		urls = append(urls, w.base+o.name+query)
	}
	fields["outputs"] = urls
	return fields
}

func (w *writer) encode(fields map[string]any) []byte {
	body, err := json.Marshal(fields)
	w.keep(err)
	return body
}

func (w *writer) sign(body []byte) delivery {
	return delivery{body: body, header: http.Header(w.kind.Sign(body, w.secret))}
}

func (w *writer) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}
