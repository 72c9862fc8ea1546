package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

const browserProgram = "chromium"

// browser is the one browser of all tests. Each test has a tab with cookies of its own.
var browser struct {
	once  sync.Once
	ctx   context.Context
	err   error
	close func()
}

func openBrowser() {
	ctx, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserProgram), chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))...)
	ctx, endTab := chromedp.NewContext(ctx)
	browser.ctx, browser.close = ctx, func() { endTab(); end() }
	browser.err = chromedp.Do(ctx)
}

func closeBrowser() {
	if browser.close != nil {
		browser.close()
	}
}

// tab is one page of a browser that nobody used before. Whatever a browser complains about fails
// the test: a breach of the policy, an error of a script, a request to another host.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base *url.URL

	mu sync.Mutex
	// at is the address of the page that was asked for last. Its status is for the test to judge.
	at     string
	faults []string
	// forgives is a part of complaints that the test causes, elsewhere a host that it visits.
	forgives, elsewhere string
}

// newTab opens a tab for the pages below an address.
func newTab(t *testing.T, base string) *tab {
	t.Helper()
	needs.Programs(t, browserProgram)
	browser.once.Do(openBrowser)
	require.NoError(t, browser.err, "this test needs Chromium (apt-get install chromium)")
	u, err := url.Parse(base)
	require.NoError(t, err)
	opened, end := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	require.NoError(t, chromedp.Do(opened)) // what is opened within a bound lives as long as that
	ctx, cancel := bounded(opened, t)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: u}
	require.NoError(t, chromedp.Listen(ctx, b.heed))
	call(b, runtime.AddBinding, runtime.AddBindingParams{Name: "refused"})
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `addEventListener('securitypolicyviolation', (e) => refused(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample), true)`,
	})
	t.Cleanup(func() { require.Empty(t, b.found(), "the browser found fault with the pages") })
	return b
}

// call has the browser run a command.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
	return result
}

// heed collects what a browser complains about.
func (b *tab) heed(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); b.forgives == "" || !strings.Contains(text, b.forgives) {
			b.faults = append(b.faults, text)
		}
	}
	switch e := event.(type) {
	case *runtime.EventBindingCalled:
		fault("the policy refused %s", e.Payload)
	case *runtime.EventExceptionThrown:
		fault("a script failed: %s", (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			fault("a script said: %s", values(e.Args))
		}
	case *log.EventEntryAdded:
		if own := e.Entry.Source == log.EntrySourceNetwork && e.Entry.URL == b.at; !own && e.Entry.Level != log.EntryLevelInfo && e.Entry.Level != log.EntryLevelVerbose {
			fault("the browser said: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument {
			b.at = e.Request.URL
		}
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Scheme != "about" && u.Host != b.base.Host && u.Host != b.elsewhere {
			fault("a request left the console: %s", e.Request.URL)
		}
	}
}

func values(args []*runtime.RemoteObject) string {
	var all []string
	for _, a := range args {
		all = append(all, string(a.Value)+a.Description)
	}
	return strings.Join(all, " ")
}

// found returns what the browser complained about.
func (b *tab) found() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults
}

// open goes to a path, and returns the status of the page.
func (b *tab) open(path string) int64 {
	b.t.Helper()
	return b.follow(chromedp.Navigate(b.base.String() + path))
}

// follow does what leads to another page, and returns its status.
func (b *tab) follow(step chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	res, err := chromedp.RunResponse(b.ctx, step)
	require.NoError(b.t, err)
	return res.Status
}

// do takes steps that lead nowhere else.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// path is where the tab is.
func (b *tab) path() string {
	b.t.Helper()
	return value[string](b, `location.pathname + location.search`)
}

// value evaluates an expression in the page.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, "%s", expression)
	return v
}

// until waits until an expression is true of the page, which changes by itself.
func (b *tab) until(expression string) {
	b.t.Helper()
	require.True(b.t, value[bool](b, `new Promise((done) => {
		const look = () => { if (`+expression+`) { seen.disconnect(); done(true); } };
		const seen = new MutationObserver(look);
		seen.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
	})`))
}

// arrive waits until the tab shows something at a path, to which it goes by itself, by one page
// or several.
func (b *tab) arrive(path, selector string) {
	b.t.Helper()
	b.reach(b.base.String()+path, selector)
}

// reach is arrive for a whole address.
func (b *tab) reach(address, selector string) {
	b.t.Helper()
	there := fmt.Sprintf(`location.href === %q && document.querySelector(%q) !== null`, address, selector)
	await(b.t, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](there))
		return err == nil && is // an error: between two pages
	}, "the tab does not come to %s", address)
}

// look has the page shown in a scheme, light or dark, and in a width.
func (b *tab) look(scheme string, width int64) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	b.do(chromedp.EmulateViewport(width, 900))
}

// text is what the page says.
func (b *tab) text() string {
	b.t.Helper()
	return value[string](b, `document.body.innerText`)
}
