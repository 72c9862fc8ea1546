package e2e

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// named are keys that are no letters, as the browser names them, with their codes.
var named = map[rune]input.DispatchKeyEventParams{
	'\r':   {Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13},
	'\x1b': {Key: "Escape", Code: "Escape", WindowsVirtualKeyCode: 27},
}

// press presses keys one by one. A page can keep each from doing what it usually does.
func press(keys string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, r := range keys {
			stroke, ok := named[r]
			if !ok {
				stroke = input.DispatchKeyEventParams{Key: string(r), Text: string(r)}
			}
			for _, stroke.Type = range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
				if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, stroke); err != nil {
					return err
				}
				stroke.Text = "" // letting go writes nothing
			}
		}
		return nil
	})
}

func (b *tab) key(keys string) {
	b.t.Helper()
	b.do(press(keys))
}

// ownTime gives the test the page's clock: nothing is refreshed but by tick.
func (b *tab) ownTime() {
	b.t.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.ticks = []; window.setInterval = (f) => ticks.push(f);`,
	})
}

// tick has the time come when a page asks for itself, and reports whether it does.
func (b *tab) tick() bool {
	b.t.Helper()
	return value[bool](b, `(() => {
		let asks = false;
		document.querySelector('main').addEventListener('refresh', () => { asks = true; }, {once: true});
		for (const f of ticks) f();
		return asks;
	})()`)
}

// The page changes by itself when something happens.
func TestNowChangesByItself(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.begin()
	b := newTab(t, s.url)
	b.open("/")
	value[bool](b, `window.first = true`)
	s.send(prediction{ID: "pred_1", Status: "completed"}, nil)
	b.until(`/2 expected: 2 by webhook/.test(document.querySelector('main').innerText)`)
	require.True(t, value[bool](b, `window.first === true`), "the page was not loaded anew")
}

// Before the first event the start page is the first run, which tells when it has come.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := newTab(t, s.url)
	b.open("/")
	require.Equal(t, "/first-run", b.path())
	require.Contains(t, b.text(), "hookspan send --url "+s.hook)
	s.begin()
	b.until(`/An event has come/.test(document.querySelector('main').innerText)`)
	b.open("/")
	require.Equal(t, "/", b.path())
}

// Whoever reads is not disturbed: a page waits while it is paused, while somebody selects text,
// and while help is open.
func TestPause(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.begin()
	b := newTab(t, s.url)
	b.ownTime()
	b.open("/")
	require.True(t, b.tick())
	b.key(".")
	require.Equal(t, "true", value[string](b, `document.querySelector('[data-pause]').getAttribute('aria-pressed')`))
	require.False(t, b.tick())
	b.key(".")
	require.True(t, b.tick())
	b.key("?")
	require.True(t, value[bool](b, `document.getElementById('help').open`))
	require.False(t, b.tick())
	b.key("\x1b")
	b.until(`!document.getElementById('help').open`)
	value[bool](b, `getSelection().selectAllChildren(document.querySelector('h2')) ?? true`)
	require.False(t, b.tick())
}

// A page says so when what it shows is old, and goes on by itself afterwards.
func TestBridgeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.begin()
	b := newTab(t, s.url)
	b.ownTime()
	b.open("/")
	value[bool](b, `(window.realFetch = window.fetch, window.fetch = () => Promise.reject(new TypeError('no network')), true)`)
	b.forgives = "no network"
	require.True(t, b.tick())
	b.until(`document.getElementById('said').textContent.startsWith('The bridge does not answer. This page is of ')`)
	s.send(prediction{ID: "pred_1", Status: "completed"}, nil)
	s.expects(2)
	value[bool](b, `(window.fetch = window.realFetch, true)`)
	require.True(t, b.tick())
	b.until(`/2 expected/.test(document.querySelector('main').innerText)`)
}

// Rows can be walked and opened with the keyboard, and stay marked when the page is refreshed.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.begin()
	b := newTab(t, s.url)
	b.ownTime()
	b.open("/")
	marked := func() string { return value[string](b, `document.querySelector('[data-marked]')?.id ?? ''`) }
	rows := value[[]string](b, `[...document.querySelectorAll('[data-rows] tbody tr')].map((r) => r.id)`)
	require.Len(t, rows, 3)
	for _, step := range []struct {
		key string
		row int
	}{{"j", 0}, {"j", 1}, {"j", 2}, {"j", 2}, {"k", 1}} {
		b.key(step.key)
		require.Equal(t, rows[step.row], marked())
	}
	value[bool](b, `(document.addEventListener('htmx:after:swap', () => { document.body.dataset.swapped = ''; }), true)`)
	require.True(t, b.tick())
	b.until(`'swapped' in document.body.dataset`)
	require.Equal(t, rows[1], marked())
	require.Equal(t, rows[1], value[string](b, `document.activeElement.closest('tr').id`))
	b.follow(press("\r"))
	require.Equal(t, "/consumers/billing", b.path())
	b.key("g")
	b.follow(press("n"))
	require.Equal(t, "/", b.path())
}

// Everything can be read without scripts.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.fill()
	b := newTab(t, s.url)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, v := range views {
		require.Equal(t, max(v.status, 200), b.open(v.path(s)), v.name) // what comes then needs scripts
		title, err := chromedp.Run(b.ctx, chromedp.TextContent(chromedp.CSS("h1")))
		require.NoError(t, err)
		require.NotEmpty(t, title, v.name)
	}
}

// Rows come by themselves, and wait while somebody pauses.
func TestLiveRows(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := newTab(t, s.url)
	b.open("/live")
	b.until(`document.querySelector('#live-state.good')`)
	first := `document.querySelector('tbody tr:first-child .mono')?.textContent`
	s.send(prediction{ID: "pred_1", Status: "completed"}, nil)
	b.until(first + ` === 'pred_1'`)
	b.key(".")
	s.send(prediction{ID: "pred_2", Status: "completed"}, nil)
	b.until(`document.querySelector('[data-fresh]').textContent === '1 new'`)
	require.Equal(t, "pred_1", value[string](b, first))
	b.do(chromedp.Click(chromedp.CSS("[data-fresh]")))
	b.until(first + ` === 'pred_2'`)
	require.False(t, value[bool](b, `document.querySelector('[data-fresh]').checkVisibility()`))
}

// Rows come also when the scripts of the page come slowly, one long after the other.
func TestLiveOnASlowLine(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := newTab(t, s.url)
	call(b, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/hx-sse.js*"}}})
	paused := make(chan fetch.RequestID, 1)
	require.NoError(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			paused <- e.RequestID
		}
	}))
	opened := make(chan error, 1)
	go func() { opened <- chromedp.Do(b.ctx, chromedp.Navigate(s.url+"/live")) }()
	id := <-paused
	value[bool](b, `new Promise((done) => {
		const later = () => window.htmx ? setTimeout(() => done(true)) : setTimeout(later);
		later();
	})`)
	call(b, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: id})
	require.NoError(t, <-opened)
	b.until(`document.querySelector('#live-state.good')`)
}

// Rows are selected and acted on with the keyboard; a list that somebody selects from waits.
func TestSelectByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.fill()
	b := newTab(t, s.url)
	b.ownTime()
	b.open("/dead/letters")
	selected := func() int { return value[int](b, `Number(document.querySelector('[data-selected]').textContent)`) }
	usable := func() bool { return !value[bool](b, `document.querySelector('[data-needs-selection]').disabled`) }
	require.False(t, usable())
	require.True(t, b.tick())
	b.key("jx")
	require.Equal(t, 1, selected())
	require.True(t, usable())
	require.False(t, b.tick(), "what is selected stays where it is")
	b.key("jj")
	b.key("X")
	require.Equal(t, 3, selected())
	b.follow(press("r"))
	require.Equal(t, "/dead/redrive", b.path())
	require.Contains(t, b.text(), "3 selected dead letters")
	b.open("/dead/letters")
	b.key("/")
	require.Equal(t, "search", value[string](b, `document.activeElement.type`))
	b.key("jx.")
	require.Equal(t, "jx.", value[string](b, `document.activeElement.value`), "letters are letters in a field")
}
