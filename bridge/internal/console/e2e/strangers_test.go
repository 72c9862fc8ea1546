package e2e

import (
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
	/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.textContent.replace(/\s/g, ' '))`

// Texts of strangers are texts on every page: nothing of them runs, links or turns the page
// around. That nothing is refused is what every tab looks at.
func TestTextsOfStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.fill()
	b := newTab(t, s.url)
	for _, v := range views {
		require.Equal(t, max(v.status, 200), b.open(v.path(s)), v.name)
		require.False(t, value[bool](b, strange), v.name)
	}
}
