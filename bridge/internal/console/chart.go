package console

import (
	"fmt"
	"html/template"
	"strings"
)

// Size of a chart, in units of its view box.
const (
	sparkWidth, sparkHeight = 240, 40
	barWidth, barGap        = 10, 2
)

// spark draws counts as a line with the area below it. Its description is for those who do not
// see it.
func spark(counts []int64, what string) template.HTML {
	top := largest(counts)
	if len(counts) < 2 || top == 0 {
		return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" role="img" aria-label="%s: none"><path class="zero" d="M0 %d.5H%d"/></svg>`, //nolint:gosec // escaped
			sparkWidth, sparkHeight, template.HTMLEscapeString(what), sparkHeight-1, sparkWidth))
	}
	var line strings.Builder
	for i, n := range counts {
		x := float64(i) * sparkWidth / float64(len(counts)-1)
		y := 2 + (1-float64(n)/float64(top))*(sparkHeight-4)
		fmt.Fprintf(&line, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x, y)
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s: %s at most, %s at the end"><path class="area" d="%sL%d %dL0 %dZ"/><path class="line" d="%s"/></svg>`, //nolint:gosec // escaped
		sparkWidth, sparkHeight, template.HTMLEscapeString(what), count(top), count(counts[len(counts)-1]), line.String(), sparkWidth, sparkHeight, sparkHeight, line.String()))
}

// bars draws counts as bars.
func bars(counts []int64, what string) template.HTML {
	top, sum := largest(counts), int64(0)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="bars" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img"`, len(counts)*barWidth, sparkHeight)
	var drawn strings.Builder
	for i, n := range counts {
		sum += n
		if n > 0 {
			height := max(2, float64(n)/float64(top)*sparkHeight)
			fmt.Fprintf(&drawn, `<rect x="%d" y="%.1f" width="%d" height="%.1f"/>`, i*barWidth, sparkHeight-height, barWidth-barGap, height)
		}
	}
	fmt.Fprintf(&out, ` aria-label="%s: %s in all, %s at most">%s</svg>`, template.HTMLEscapeString(what), count(sum), count(top), drawn.String())
	return template.HTML(out.String()) //nolint:gosec // escaped
}

func largest(counts []int64) (top int64) {
	for _, n := range counts {
		top = max(top, n)
	}
	return top
}
