package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// visitor is a person at a tab, whose clicks are counted.
type visitor struct {
	*tab

	clicks int
	since  time.Time
}

// comes has somebody open the start page.
func comes(t *testing.T, s *site) *visitor {
	t.Helper()
	p := &visitor{tab: newTab(t, s.url), since: time.Now()}
	p.open("/")
	return p
}

// click presses what leads to another page, and returns the status of that.
func (p *visitor) click(selector string) int64 {
	p.t.Helper()
	p.clicks++
	return p.press(selector)
}

// find pastes a text into the search of the page.
func (p *visitor) find(text string) {
	p.t.Helper()
	p.clicks++
	p.do(chromedp.Click(chromedp.CSS("input[type=search]")), paste(text))
	p.follow(press("\r"))
}

// paste writes a text where the cursor is, at once.
func paste(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// back goes to a page where the person was before, step by step. A browser may show a page that it
// kept, and asks nobody for it.
func (p *visitor) back(path string) {
	p.t.Helper()
	for p.path() != path {
		p.clicks++
		visited := call(p.tab, page.GetNavigationHistory, struct{}{})
		at := visited.CurrentIndex - 1
		call(p.tab, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: visited.Entries[at].ID})
		await(p.t, func() bool {
			return call(p.tab, page.GetNavigationHistory, struct{}{}).CurrentIndex == at
		}, "the browser does not go back to %s", visited.Entries[at].URL)
		p.reach(visited.Entries[at].URL, "main")
	}
}
