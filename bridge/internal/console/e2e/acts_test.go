package e2e

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/console"
)

// forms are what somebody can send, by the patterns of the acts: each is a whole and true one.
var forms = map[string]struct {
	path func(s *site) string
	form url.Values
	// scope is the one that it needs, act if it is empty.
	scope string
}{
	"/events/replay":           {fixed("/events/replay"), url.Values{"consumer": {"billing"}, "seqs": {"1"}}, ""},
	"/first-run/test-event":    {fixed("/first-run/test-event"), url.Values{"source": {"get3w"}}, ""},
	"/predictions/poll":        {fixed("/predictions/poll"), url.Values{"source": {"get3w"}, "id": {"nobody"}}, ""},
	"/predictions/watch":       {fixed("/predictions/watch"), url.Values{"source": {"get3w"}, "id": {"nobody"}}, "submit"},
	"/consumers/{name}/pause":  {fixed("/consumers/billing/pause"), url.Values{"minutes": {"15"}}, ""},
	"/consumers/{name}/resume": {fixed("/consumers/billing/resume"), nil, ""},
	"/consumers/{name}/seek":   {fixed("/consumers/billing/seek"), url.Values{"to": {"new"}}, ""},
	"/consumers/{name}/remove": {fixed("/consumers/" + addedConsumer + "/remove"), nil, ""},
	"/dead/redrive":            {fixed("/dead/redrive"), url.Values{"all": {"1"}}, ""},
	"/dead/drop":               {fixed("/dead/drop"), url.Values{"all": {"1"}}, ""},
	"/jobs/{id}/cancel":        {func(s *site) string { return s.job() + "/cancel" }, nil, ""},
	"/quarantine/accept":       {fixed("/quarantine/accept"), url.Values{"stream": {"quarantine"}, "seqs": {"1"}}, ""},
	"/quarantine/drop":         {fixed("/quarantine/drop"), url.Values{"stream": {"refused"}}, ""},
	"/quarantine/reverify":     {fixed("/quarantine/reverify"), url.Values{"stream": {"refused"}}, ""},
}

// Whoever may only look is shown no button that changes something, and a form that they send all
// the same changes nothing: the page says which scope it needs.
func TestLookingOnly(t *testing.T) {
	t.Parallel()
	s := start(t, withTokens)
	s.fill()
	b := newTab(t, s.url)
	b.open("/sign-in")
	require.EqualValues(t, http.StatusOK, b.signIn(readToken))
	for _, v := range views {
		if v.then != nil || strings.HasSuffix(v.pattern, "/redrive") || strings.HasSuffix(v.pattern, "/drop") || strings.HasSuffix(v.pattern, "/reverify") || strings.HasSuffix(v.pattern, "/replay") {
			continue // what comes of a form
		}
		b.visit(s, v)
		require.Empty(t, value[[]string](b, `[...document.querySelectorAll('form[method=post] button, [data-act], [data-needs-selection], tbody input')].filter((e) => !e.closest('.foot, .sign-in')).map((e) => e.outerHTML)`), v.name)
	}
	_, acts := console.Patterns()
	require.Equal(t, acts, slices.Sorted(maps.Keys(forms)), "write a form that is new into the table of forms")
	for pattern, f := range forms {
		status, page := s.submit(f.path(s), f.form, readToken)
		require.Equal(t, http.StatusForbidden, status, pattern)
		require.Contains(t, page, "This needs a token with the scope "+cmp.Or(f.scope, "act")+".", pattern)
		status, page = s.submit(f.path(s), f.form, actToken)
		require.Contains(t, []int{http.StatusOK, http.StatusSeeOther}, status, "%s %s", pattern, page)
	}
}

// submit sends a form as a browser does that has a token, and returns the answer.
func (s *site) submit(path string, form url.Values, token string) (status int, page string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.url)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Cookie", "hookspan_token="+token)
	return s.do(req)
}
