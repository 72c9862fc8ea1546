package console

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// outcomeWords say what became of the entries of a job; those of causes are made of the cause.
var outcomeWords = map[string]struct{ words, tone string }{
	adminapi.OutcomeGiven:      {"given to their consumer again", "good"},
	adminapi.OutcomeEvents:     {"became events", "good"},
	adminapi.OutcomeDropped:    {"dropped for good", "good"},
	adminapi.OutcomeErased:     {"erased everywhere", "good"},
	adminapi.OutcomeHandled:    {"were handled since: left out, their dead letters removed", "mute"},
	adminapi.OutcomeDuplicates: {"were events already", "mute"},
	adminapi.OutcomeGone:       {"gone: somebody else removed them", "mute"},
	"no_event":                 {"stay: they have no event any more", "warn"},
	"no_consumer":              {"stay: their consumer has no durable", "warn"},
	"not_reading":              {"stay: the durable of their consumer does not read what is given again", "warn"},
	"too_large":                {"stay: too large", "warn"},
}

// outcome is how many entries of a job became what.
type outcome struct {
	Count       int
	Words, Tone string
}

// outcomesOf returns outcomes of a kind of job in words: what was done first, what stays last.
func outcomesOf(kind string, counts map[string]int) []outcome {
	var out []outcome
	for token, n := range counts {
		if n == 0 {
			continue
		}
		o, ok := outcomeWords[token]
		if !ok {
			o.words, o.tone = "stay: "+lower(keptCause(token).Words), "warn"
		}
		if kind == adminapi.JobReplay && token == adminapi.OutcomeHandled {
			o.words = "were handled by the consumer: left out"
		}
		out = append(out, outcome{n, o.words, o.tone})
	}
	order := []string{"good", "mute", "warn"}
	slices.SortFunc(out, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Tone), slices.Index(order, b.Tone)), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Words, b.Words))
	})
	return out
}

// lower begins a sentence's part with a small letter.
func lower(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToLower(words[:1]) + words[1:]
}

// lasts writes a length of time in whole seconds, as people say it.
func lasts(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	switch {
	case d < time.Second:
		return "less than a second"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return span(d)
}

// stack draws parts of a whole side by side. What is left of it stays empty.
func stack(parts []outcome, total int, what string) template.HTML {
	const width = 1000
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="stack" viewBox="0 0 %d 10" preserveAspectRatio="none" role="img" aria-label="%s">`, width, template.HTMLEscapeString(what))
	x := 0.0
	for _, p := range parts {
		if total == 0 {
			break
		}
		w := float64(p.Count) * width / float64(total)
		fmt.Fprintf(&out, `<rect class="%s" x="%.2f" y="0" width="%.2f" height="10"/>`, template.HTMLEscapeString(p.Tone), x, w)
		x += w
	}
	out.WriteString("</svg>")
	return template.HTML(out.String()) //nolint:gosec // escaped
}
