package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// press does what the element does when it is clicked, which leads to another page.
func (b *tab) press(selector string) int64 {
	b.t.Helper()
	return b.follow(chromedp.Click(chromedp.CSS(selector)))
}

// signIn writes a token into the form of the page, and sends it.
func (b *tab) signIn(token string) int64 {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS("#token"), token))
	return b.press(".sign-in button")
}

// cookies are those that the browser has.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	all, err := chromedp.CallBrowser(b.ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID})
	require.NoError(b.t, err)
	return all.Cookies
}

// Somebody without a token sees nothing but the sign-in, goes on where they wanted to, and can
// sign out.
func TestSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, withTokens)
	b := newTab(t, s.url)
	require.EqualValues(t, http.StatusOK, b.open("/jobs?a=1&b=%2F"))
	require.Equal(t, "/sign-in?next=%2Fjobs%3Fa%3D1%26b%3D%252F", b.path())
	require.Zero(t, value[int](b, `document.querySelectorAll('nav a').length`), "who is not known is shown nothing of the bridge")
	require.Equal(t, "token", value[string](b, `document.activeElement.id`))

	require.EqualValues(t, http.StatusUnauthorized, b.signIn("a-wrong-token-0123456789"))
	require.Contains(t, b.text(), "knows no such token")
	require.NotContains(t, b.text(), "a-wrong-token")
	require.Empty(t, b.cookies())

	require.EqualValues(t, http.StatusOK, b.signIn(actToken))
	require.Equal(t, "/jobs?a=1&b=%2F", b.path())
	require.Contains(t, b.text(), "oncall")
	require.Empty(t, value[string](b, `document.cookie`), "scripts do not see the token")
	cookies := b.cookies()
	require.Len(t, cookies, 1)
	require.True(t, cookies[0].HTTPOnly)
	require.Equal(t, network.CookieSameSiteStrict, cookies[0].SameSite)
	require.Equal(t, "/", cookies[0].Path)

	require.EqualValues(t, http.StatusOK, b.press(".foot form button"))
	require.Equal(t, "/sign-in", b.path())
	require.Empty(t, b.cookies())
	b.open("/")
	require.Equal(t, "/sign-in?next=%2F", b.path())
}

// A token that is removed while somebody looks at a page leads to the sign-in, and is not sent
// again.
func TestRemovedTokenEndsTheVisit(t *testing.T) {
	t.Parallel()
	s := start(t, withTokens)
	b := newTab(t, s.url)
	b.open("/sign-in")
	require.EqualValues(t, http.StatusOK, b.signIn(actToken))
	s.write(strings.Replace(withTokens, "  {name: oncall, scopes: [read, act, submit], secret: env:ACT_TOKEN}", "", 1))
	s.reload <- syscall.SIGHUP
	b.until(`document.querySelector('main #token')`) // the page asked for itself
	require.Empty(t, b.cookies())
	b.open("/")
	require.Equal(t, "/sign-in?next=%2F", b.path())
	require.EqualValues(t, http.StatusOK, b.signIn(readToken))
	require.Contains(t, b.text(), "reader")
}

// A link of another site opens the page that it names, for somebody who is signed in, although
// the browser keeps the cookie back at first.
func TestLinkOfAnotherSite(t *testing.T) {
	t.Parallel()
	s := start(t, withTokens)
	b := newTab(t, s.url)
	b.open("/sign-in")
	require.EqualValues(t, http.StatusOK, b.signIn(readToken))
	other, err := url.Parse(s.outputs)
	require.NoError(t, err)
	b.elsewhere = "localhost:" + other.Port()
	b.follow(chromedp.Navigate("http://" + b.elsewhere + "/link?to=" + url.QueryEscape(s.url+"/jobs?shared=1")))
	// The browser shows another site in another process, which answers nobody who waits for the click.
	value[int](b, `setTimeout(() => document.querySelector('a').click())`)
	b.arrive("/jobs?shared=1", "nav")
	require.Contains(t, b.text(), "reader")
}

// No page of another site acts for somebody who is signed in, or signs them in.
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	s := start(t, withTokens)
	for _, foreign := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "http://example.invalid"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": "http://example.invalid"},
	} {
		for _, path := range []string{"/sign-in", "/sign-out", "/consumers/billing/pause"} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+path, strings.NewReader("token="+actToken))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Cookie", "hookspan_token="+actToken)
			for name, value := range foreign {
				req.Header.Set(name, value)
			}
			require.Equal(t, http.StatusForbidden, s.answer(req), "%s %v", path, foreign)
		}
	}
}
