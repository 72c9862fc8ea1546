package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/console"
)

// screenshots is the folder of the pictures of all pages, below the root of the module.
const screenshots = "../../../../.screenshots"

// view is one state of a page.
type view struct {
	// name is that of its pictures.
	name string
	// pattern is the page's, see [console.Patterns].
	pattern string
	// path returns where it is on a filled site.
	path func(s *site) string
	// status is that of its answer; 0 is 200.
	status int64
	// then goes on from there, with scripts, to what is looked at; nil stays.
	then func(b *tab)
}

func fixed(path string) func(*site) string { return func(*site) string { return path } }

// submits sends a form of the page: it ticks the boxes, and presses the button.
func submits(boxes, button string) func(*tab) {
	return func(b *tab) {
		b.t.Helper()
		if boxes != "" {
			b.do(chromedp.Click(chromedp.CSS(boxes)))
		}
		require.EqualValues(b.t, 200, b.press(button))
	}
}

// shows waits until something is there.
func shows(selector string) func(*tab) {
	return func(b *tab) { b.t.Helper(); b.until("document.querySelector('" + selector + "')") }
}

// views are what every test of all pages looks at, on a filled site. Each page of the console is
// in one of them.
var views = []view{
	{name: "now", pattern: "/{$}", path: fixed("/")},
	{name: "sign-in", pattern: "/sign-in", path: fixed("/sign-in?next=%2Fdead")},
	{name: "missing", pattern: "/", path: fixed("/no/such/page"), status: 404},

	{name: "first-run", pattern: "/first-run", path: fixed("/first-run")},

	{name: "predictions", pattern: "/predictions", path: fixed("/predictions")},
	{name: "predictions-grid", pattern: "/predictions", path: fixed("/predictions?view=grid")},
	{name: "predictions-none-match", pattern: "/predictions", path: fixed("/predictions?q=nobody")},
	{name: "predictions-wrong", pattern: "/predictions", path: fixed("/predictions?q=no:such")},
	{name: "prediction", pattern: "/predictions/{source}/{id}", path: fixed("/predictions/get3w/pred_00")},
	{name: "prediction-dead", pattern: "/predictions/{source}/{id}", path: fixed("/predictions/get3w/pred_dead_0")},
	{name: "prediction-open", pattern: "/predictions/{source}/{id}", path: fixed("/predictions/get3w/pred_open")},
	{name: "prediction-unknown", pattern: "/predictions/{source}/{id}", path: fixed("/predictions/get3w/nobody"), status: 404},
	{name: "prediction-dots", pattern: "/predictions/{source}", path: fixed("/predictions/get3w?id=.."), status: 400},
	{name: "event", pattern: "/events/{seq}", path: fixed("/events/1")},
	{name: "event-raw", pattern: "/events/{seq}", path: fixed("/events/1?raw=1")},

	{name: "dead", pattern: "/dead", path: fixed("/dead")},
	{name: "dead-none-match", pattern: "/dead", path: fixed("/dead?consumer=archive")},
	{name: "dead-letters", pattern: "/dead/letters", path: fixed("/dead/letters")},
	{name: "dead-letters-cause", pattern: "/dead/letters", path: fixed("/dead/letters?consumer=billing&cause=permanent")},
	{name: "dead-letter", pattern: "/dead/{seq}", path: func(s *site) string { return s.letter("pred_dead_0") }},
	{name: "dead-letter-unknown", pattern: "/dead/{seq}", path: fixed("/dead/4711"), status: 404},
	{name: "redrive", pattern: "/dead/redrive", path: fixed("/dead/redrive?all=1")},
	{name: "redrive-selected", pattern: "/dead/redrive", path: fixed("/dead/letters"), then: submits("tbody input", "button[data-act]")},
	{name: "drop", pattern: "/dead/drop", path: fixed("/dead/drop?consumer=billing")},

	{name: "quarantine", pattern: "/quarantine", path: fixed("/quarantine")},
	{name: "quarantine-kept", pattern: "/quarantine", path: fixed("/quarantine?stream=quarantine")},
	{name: "quarantine-refused", pattern: "/quarantine", path: fixed("/quarantine?stream=refused")},
	{name: "delivery", pattern: "/quarantine/{stream}/{seq}", path: fixed("/quarantine/quarantine/1")},
	{name: "delivery-refused", pattern: "/quarantine/{stream}/{seq}", path: fixed("/quarantine/refused/1")},
	{name: "reverify", pattern: "/quarantine/reverify", path: fixed("/quarantine/reverify?stream=quarantine")},
	{name: "drop-kept", pattern: "/quarantine/drop", path: fixed("/quarantine/drop?stream=refused")},
	{name: "accept", pattern: "/quarantine", path: fixed("/quarantine?stream=quarantine"), then: submits("th input", `button[formaction$="/accept"]`)},

	{name: "jobs", pattern: "/jobs", path: fixed("/jobs")},
	{name: "job", pattern: "/jobs/{id}", path: func(s *site) string { return s.job() }},

	{name: "consumers", pattern: "/consumers", path: fixed("/consumers")},
	{name: "consumer", pattern: "/consumers/{name}", path: fixed("/consumers/billing")},
	{name: "consumer-pull", pattern: "/consumers/{name}", path: fixed("/consumers/search-team")},
	{name: "consumer-added", pattern: "/consumers/{name}", path: fixed("/consumers/" + addedConsumer)},
	{name: "consumer-seek", pattern: "/consumers/{name}", path: fixed("/consumers/billing"), then: submits("", `form[action$="/seek"] button`)},
	{name: "consumer-remove", pattern: "/consumers/{name}", path: fixed("/consumers/" + addedConsumer), then: submits("", `form[action$="/remove"] button`)},

	{name: "models", pattern: "/models", path: fixed("/models")},
	{name: "models-none-match", pattern: "/models", path: fixed("/models?q=no/such/*")},
	{name: "live", pattern: "/live", path: fixed("/live"), then: shows("#live-state.good")},
	{name: "live-wrong", pattern: "/live", path: fixed("/live?q=no:such")},

	{name: "system", pattern: "/system", path: fixed("/system")},
	{name: "doctor", pattern: "/system/doctor", path: fixed("/system/doctor"), then: shows(".findings")},
	{name: "findings", pattern: "/system/doctor/findings", path: fixed("/system/doctor/findings")},
	{name: "config", pattern: "/system/config", path: fixed("/system/config")},
	{name: "config-all", pattern: "/system/config", path: fixed("/system/config?all=1")},
	{name: "alarms", pattern: "/system/alarms", path: fixed("/system/alarms?past=1")},
	{name: "audit", pattern: "/system/audit", path: fixed("/system/audit")},

	{name: "again", pattern: "/events/replay", path: fixed("/events/replay?consumer=billing&seqs=1&back=%2Fpredictions%2Fget3w%2Fpred_00")},
	{name: "given", pattern: "/predictions/{source}/{id}", path: fixed("/predictions/get3w/pred_dead_1"), then: func(b *tab) {
		b.press(`main a[data-act]`)
		b.press(`main form[action="/dead/redrive"] button[name=do]`)
	}},
}

// visit opens a view.
func (b *tab) visit(s *site, v view) {
	b.t.Helper()
	require.Equal(b.t, max(v.status, 200), b.open(v.path(s)), v.name)
	if v.then != nil {
		v.then(b)
	}
}

// A page that no test looks at may be broken.
func TestEveryPageIsLookedAt(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range views {
		seen[v.pattern] = true
	}
	pages, _ := console.Patterns()
	require.Equal(t, pages, slices.Sorted(maps.Keys(seen)), "write a page that is new into the table of views")
}

// The widths of a desk and of a telephone, in CSS pixels.
const desk, telephone = 1280, 360

// looks are how each page is photographed. Axe examines a page once in each scheme, and so once in
// each width: colours do not change with the width, nor the order of a page with the scheme.
var looks = []struct {
	scheme   string
	width    int64
	examined bool
}{{"light", desk, true}, {"light", telephone, false}, {"dark", desk, false}, {"dark", telephone, true}}

// Every page can be used by everybody, in both schemes, on a desk and on a telephone.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := installAxe(t)
	s := start(t, "")
	s.fill()
	require.NoError(t, os.MkdirAll(screenshots, 0o755))
	b := newTab(t, s.url)
	b.ownTime()                    // a page that changes while it is examined has no right answer
	found := map[string][]string{} // where each fault is
	for _, v := range views {
		b.look("light", desk)
		b.visit(s, v)
		violations := b.examiner(axe)
		for _, l := range looks {
			b.look(l.scheme, l.width)
			name := fmt.Sprintf("%s-%s-%d", v.name, l.scheme, l.width)
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644))
			if wide := value[int64](b, `document.documentElement.scrollWidth`); wide > l.width {
				found["it scrolls sideways"] = append(found["it scrolls sideways"], name)
			}
			if !l.examined {
				continue
			}
			for _, violation := range violations() {
				found[violation] = append(found[violation], name)
			}
		}
	}
	for violation, names := range found {
		t.Errorf("%s\nin %s", violation, strings.Join(names, ", "))
	}
}
