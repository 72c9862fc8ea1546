package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// strangers are texts of people who mean harm. Each is the id, model, error, reference and tenant
// of a prediction. What they would run says so, and what they would add is found by its class.
var strangers = []string{
	`<script class=stranger>refused('ran')</script><img class=stranger src=x onerror=refused('ran')>`,
	`"><svg onload=refused('ran') class=stranger>{{.}}' autofocus onfocus=refused('ran') hx-get='/x' hx-trigger='load' class='stranger`,
	"\x1b[31mred\x1b]8;;http://example.invalid\x07link\u202Egnp.exe\u2066\u200b\u0085\ufeff",
	`javascript:refused('ran')//..%2f../#?&`,
}

// strange is true of a page where a text of a stranger became more than a text.
const strange = `document.querySelector('.stranger, [onerror], [onload], [onfocus], a[href^="javascript:"], script:not([src])') !== null ||
	[...document.querySelectorAll('*')].some((e) => ['title', 'alt', 'placeholder', 'aria-label'].some((a) => /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(e.getAttribute(a)))) ||
	/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.textContent.replace(/\s/g, ' '))`

// Texts of strangers are texts on every page: nothing of them runs, links or turns the page
// around. That nothing is refused is what every tab looks at.
func TestTextsOfStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.fill()
	b := newTab(t, s.url)
	all := views
	for i, text := range strangers {
		for _, path := range strangePaths(s, text, fmt.Sprint(text, i)) {
			all = append(all, view{name: path, path: fixed(path)})
		}
	}
	for _, v := range all {
		b.visit(s, v)
		require.False(t, value[bool](b, strange), v.name)
	}
	// What no filter can be is said, beside the way to the whole list.
	for _, text := range strangers {
		for _, filter := range []string{"/quarantine?source=", "/quarantine?cause="} {
			require.EqualValues(t, http.StatusBadRequest, b.open(filter+url.QueryEscape(text)))
			require.False(t, value[bool](b, strange), filter)
			require.Equal(t, "/quarantine", value[string](b, `document.querySelector('[role=alert] a')?.getAttribute('href')`))
		}
	}
}

// strangePaths are pages of a stranger's prediction, and of lists that are filtered by its text.
func strangePaths(s *site, text, id string) []string {
	q := url.QueryEscape(text)
	return []string{
		s.letter(id), "/predictions/get3w/" + url.PathEscape(id), "/predictions/get3w?id=" + url.QueryEscape(id), "/predictions?q=" + q, "/predictions?view=grid&q=" + q, "/dead/letters?prediction=" + url.QueryEscape(id), "/dead?consumer=" + q,
		"/models?q=" + q, "/live?q=" + q, "/system/config?q=" + q, "/system/alarms?q=" + q,
	}
}
