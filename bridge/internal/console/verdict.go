package console

import (
	"slices"
	"strings"
)

// Waits are the handlers that have not handled an event and need somebody.
func (d predictionData) Waits() (out []handler) {
	for _, h := range d.Handlers {
		if h.Waits() {
			out = append(out, h)
		}
	}
	return out
}

// Crowded reports whether there may be handlers that are left out.
func (d predictionData) Crowded() bool { return len(d.Handlers) == maxHandlers }

// Tone is that of the worst there is.
func (d predictionData) Tone() string {
	out := tone(d.Prediction.Status)
	if d.Prediction.Lost != nil {
		return "bad"
	}
	for _, h := range d.Waits() {
		if tone(h.State) == "bad" {
			return "bad"
		}
		out = "warn"
	}
	return out
}

// Verdict says in a sentence how the consumers stand.
func (d predictionData) Verdict() string {
	handled, going := 0, 0
	for _, h := range d.Handlers {
		switch {
		case h.State == "handled" || h.State == "settled":
			handled++
		case h.Meant() && !h.Waits():
			going++
		}
	}
	var lack []string
	for _, h := range d.Waits() {
		if !slices.Contains(lack, h.Consumer) {
			lack = append(lack, h.Consumer)
		}
	}
	switch {
	case len(lack) > 0:
		return "Not handled by " + enumerate(lack) + "."
	case going > 0:
		return "It is on its way to " + plural(going, "handler", "handlers") + "."
	case handled > 0:
		return "Every consumer that reads it has handled it."
	case d.Open():
		return "Its end is still to come."
	case len(d.Handlers) > 0:
		return "No consumer reads it."
	}
	return ""
}

// Custody says in words where the outputs are.
func (d predictionData) Custody() string {
	p := &d.Prediction
	switch {
	case p.OutputCount == 0:
		return ""
	case p.Stored == p.OutputCount:
		return plural(p.OutputCount, "output", "outputs") + " archived."
	}
	out := plural(p.OutputCount, "output", "outputs") + ", " + count(p.Stored) + " archived"
	if p.Failed > 0 {
		out += ", " + count(p.Failed) + " given up"
	}
	return out + "."
}

// enumerate writes names one after another; beyond four it counts.
func enumerate(names []string) string {
	if len(names) > 4 {
		names = append(slices.Clone(names[:3]), count(len(names)-3)+" others")
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
