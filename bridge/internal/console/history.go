package console

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// backlogSpan is the time of a chart of what waited, and backlogGap how far apart two figures
	// are between which nobody looked.
	backlogSpan, backlogGap = 24 * time.Hour, 11 * time.Minute
)

// history is how a consumer did.
type history struct{ adminapi.ConsumerHistory }

// Chart draws what waited in the 24 hours before now. A line is broken where nobody looked.
func (h history) Chart(now time.Time) template.HTML {
	if len(h.Backlog) == 0 {
		return ""
	}
	from, top := now.Add(-backlogSpan), uint64(1)
	for _, b := range h.Backlog {
		top = max(top, b.Pending)
	}
	var line strings.Builder
	before := time.Time{}
	for _, b := range h.Backlog {
		x := float64(b.At.Sub(from)) / float64(backlogSpan) * sparkWidth
		y := 2 + (1-float64(b.Pending)/float64(top))*(sparkHeight-4)
		if b.At.Sub(before) > backlogGap {
			fmt.Fprintf(&line, "M%.1f %.1f", x-0.5, y) // so that a single figure is seen
		}
		fmt.Fprintf(&line, "L%.1f %.1f", x, y)
		before = b.At
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="events that waited in the last 24 hours: %s at most, %s at the end"><path class="zero" d="M0 %d.5H%d"/><path class="line" d="%s"/></svg>`, //nolint:gosec // numbers of our own
		sparkWidth, sparkHeight, count(h.Most()), count(h.Backlog[len(h.Backlog)-1].Pending), sparkHeight-1, sparkWidth, line.String()))
}

// Most is how many waited at most.
func (h history) Most() (most uint64) {
	for _, b := range h.Backlog {
		most = max(most, b.Pending)
	}
	return most
}

// Begins is when the first figure was written down.
func (h history) Begins() time.Time {
	if len(h.Backlog) == 0 {
		return time.Time{}
	}
	return h.Backlog[0].At
}

// verdictWords say how attempts ended.
var verdictWords = map[string]string{
	bridge.VerdictDone: "handled", bridge.VerdictRetry: "failed, and are tried again", bridge.VerdictDead: "given up",
	bridge.VerdictGiveBack: "given back as a process stopped", bridge.VerdictLeft: "lost to another process",
}

// Results say how the attempts ended, the most frequent first.
func (h history) Results() string {
	verdicts := slices.SortedFunc(maps.Keys(h.Attempts.Verdicts), func(a, b string) int {
		return cmp.Or(cmp.Compare(h.Attempts.Verdicts[b], h.Attempts.Verdicts[a]), strings.Compare(a, b))
	})
	var out []string
	for _, verdict := range verdicts[:min(len(verdicts), 8)] {
		out = append(out, count(h.Attempts.Verdicts[verdict])+" "+cmp.Or(verdictWords[verdict], words(verdict)))
	}
	return strings.Join(out, ", ")
}
