package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// tookWidth and tookHeight are the size of a bar, in units of its view box.
const tookWidth, tookHeight = 96, 8

// took is how long a prediction took, in seconds, as far as its times tell.
type took struct {
	// Queue is from the creation until the model ran, Inference as long as it ran. Provider is
	// the sum of both while nobody knows the inference. Webhook is from the provider's end until
	// the news of it arrived here.
	Queue, Inference, Provider, Webhook float64
}

// tookOf returns what the times tell. Clocks of two machines may disagree: a time that would be
// negative is none.
func tookOf(created, completed, received time.Time, inference float64) (t took) {
	if !created.IsZero() && completed.After(created) {
		t.Provider = completed.Sub(created).Seconds()
	}
	if inference > 0 && inference <= t.Provider {
		t.Queue, t.Inference, t.Provider = t.Provider-inference, inference, 0
	}
	if !completed.IsZero() && received.After(completed) {
		t.Webhook = received.Sub(completed).Seconds()
	}
	return t
}

// Total is zero when nothing is known.
func (t took) Total() float64 { return t.Queue + t.Inference + t.Provider + t.Webhook }

// part is a part of the time.
type part struct {
	Class, Name string
	Seconds     float64
}

// Parts are the known ones in their order.
func (t took) Parts() (parts []part) {
	for _, p := range []part{
		{"queue", "queue", t.Queue}, {"inference", "inference", t.Inference}, {"inference", "at the provider", t.Provider}, {"webhook", "webhook", t.Webhook},
	} {
		if p.Seconds > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

// Words are the parts in words.
func (t took) Words() string {
	var words []string
	for _, p := range t.Parts() {
		words = append(words, p.Name+" "+seconds(p.Seconds))
	}
	return strings.Join(words, ", ")
}

// Bar draws the parts beside one another, each as long as its share.
func (t took) Bar() template.HTML {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="took" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">`, tookWidth, tookHeight, template.HTMLEscapeString(t.Words()))
	at := 0.0
	for _, p := range t.Parts() {
		width := p.Seconds / t.Total() * tookWidth
		fmt.Fprintf(&out, `<rect class="%s" x="%.2f" y="0" width="%.2f" height="%d"/>`, p.Class, at, width, tookHeight)
		at += width
	}
	out.WriteString("</svg>")
	return template.HTML(out.String()) //nolint:gosec // numbers and words of our own
}
