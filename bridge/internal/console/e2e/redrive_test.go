package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/signing"
)

// letters is how many dead letters are redriven. With 100,000 the test takes minutes, and wants a
// machine for itself: a consumer that cannot look up a dead letter in 2 s makes a second one.
var letters = flag.Int("letters", 600, "how many dead letters TestRedriveOfMany makes")

// receiver is a service that refuses everything until it is repaired, and knows what it took.
type receiver struct {
	mu       sync.Mutex
	repaired bool
	// taken is how often it took each prediction.
	taken map[string]int
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.repaired {
		http.Error(w, "no such customer", http.StatusUnprocessableEntity)
		return
	}
	r.taken[req.Header.Get("Ce-Subject")]++
}

func (r *receiver) repair() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repaired, r.taken = true, map[string]int{}
}

// taken is how many predictions a service took, in how many requests.
type taken struct{ Predictions, Requests int }

func (r *receiver) took() (t taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.taken {
		t.Requests += n
	}
	t.Predictions = len(r.taken)
	return t
}

// sendMany posts n webhooks over a few connections.
func (s *site) sendMany(n int) {
	s.t.Helper()
	const conns = 16
	transport := &http.Transport{MaxIdleConnsPerHost: conns}
	defer transport.CloseIdleConnections()
	s.client = &http.Client{Transport: transport, CheckRedirect: s.client.CheckRedirect}
	var g errgroup.Group
	g.SetLimit(conns)
	for i := range n {
		g.Go(func() error {
			body := fmt.Appendf(nil, `{"id":"pred_%06d","model":"google/imagen","status":"completed"}`, i)
			if status := s.post(body, signing.Sign(body, []byte(hookSecret)), nil); status != http.StatusOK {
				return fmt.Errorf("webhook %d was answered %d", i, status)
			}
			return nil
		})
	}
	require.NoError(s.t, g.Wait())
}

// deadLetters is how many dead letters the stream has, by two ways, and the groups of the view.
type deadLetters struct{ Stream, Status, Groups uint64 }

func (s *site) dead() (d deadLetters) {
	s.t.Helper()
	d.Stream = ask[adminapi.ViewStatus](s, "/view").Streams[bridge.Names{}.DeadStream()].Messages
	d.Status = ask[adminapi.Status](s, "/status").Dead
	for _, g := range ask[adminapi.DeadGroupList](s, "/dead/groups").Groups {
		d.Groups += uint64(g.Count)
	}
	return d
}

// untilDead waits until the stream and the view have so many dead letters.
func (s *site) untilDead(n int) {
	s.t.Helper()
	want := deadLetters{uint64(n), uint64(n), uint64(n)}
	var got deadLetters
	await(s.t, func() bool { got = s.dead(); return got == want }, "there are not %d dead letters: %+v", n, &got)
}

// sums are the figures of a job: those of its page, or of the API.
type sums struct{ Given, Left, Total int }

// shownSums reads the page of a job.
func (b *tab) shownSums() (got sums) {
	b.t.Helper()
	of := func(words string) int {
		return value[int](b, `Number(([...document.querySelectorAll('[aria-label=Outcomes] tr')].find((r) => r.cells[0].innerText.trim() === '`+words+`')?.cells[1].innerText ?? '0').replaceAll(',', ''))`)
	}
	return sums{of("given to their consumer again"), of("were not done, and are as they were"), of("matched when the job began")}
}

// knownSums asks the API about a job. Nothing but given and left may have become of the entries.
func (s *site) knownSums(path string) (got sums) {
	s.t.Helper()
	job := ask[adminapi.Job](s, path)
	require.LessOrEqual(s.t, len(job.Outcomes), 1, "%v", job.Outcomes)
	return sums{job.Outcomes[adminapi.OutcomeGiven], job.Left, job.Total}
}

const (
	// through is how many entries a job is through with, as its page says.
	through = `Number((document.querySelector('.progress .strip strong')?.innerText ?? '0').replaceAll(',', ''))`
	ended   = `[...document.querySelectorAll('main dt')].some((e) => e.innerText === 'Ended')`
)

// Of a redrive that is cancelled in the middle the sum adds up, on the page, in the API, in the
// stream and with the service; and the rest is redriven.
func TestRedriveOfMany(t *testing.T) {
	t.Parallel()
	n := *letters
	to := &receiver{}
	s := startWith(t, "", `start: all, concurrency: 16`, to.serve)
	began := time.Now()
	s.sendMany(n)
	s.untilDead(n)
	t.Logf("%d dead letters in %.1f s", n, time.Since(began).Seconds())
	to.repair()

	b := newTab(t, s.url)
	b.open("/dead")
	require.EqualValues(t, http.StatusOK, b.press(`.bar.after a[href^="/dead/redrive"]`))
	require.Contains(t, b.text(), fmt.Sprintf("%s of %[1]s would be given", count(n)))
	value[bool](b, fmt.Sprintf(`(document.getElementById('rate').value = '%d', true)`, min(n/30, adminapi.MaxJobRate)))
	began = time.Now()
	require.EqualValues(t, http.StatusOK, b.press(`button[name=do]`))
	path := b.path()
	b.until(fmt.Sprintf(`%s >= %d`, through, n/3))
	require.EqualValues(t, http.StatusOK, b.press(`form[action$="/cancel"] button`))
	b.until(ended)
	took := time.Since(began)
	require.Contains(t, b.text(), "cancelled")
	got := b.shownSums()
	require.Equal(t, got, s.knownSums(path))
	require.Equal(t, n, got.Total)
	require.Equal(t, n, got.Given+got.Left)
	require.NotZero(t, got.Given)
	require.NotZero(t, got.Left)
	s.untilDead(got.Left)
	s.untilTaken(to, got.Given)
	t.Logf("cancelled after %.1f s: %d given + %d left = %d", took.Seconds(), got.Given, got.Left, got.Total)

	require.EqualValues(t, http.StatusOK, b.press(`.bar.after a.button`))
	require.Equal(t, "/dead/letters", b.path())
	require.EqualValues(t, http.StatusOK, b.press(`.bar a[href^="/dead/redrive"]`))
	began = time.Now()
	require.EqualValues(t, http.StatusOK, b.press(`button[name=do]`))
	path = b.path()
	b.until(ended)
	require.Equal(t, sums{Given: got.Left, Total: got.Left}, b.shownSums())
	require.Equal(t, sums{Given: got.Left, Total: got.Left}, s.knownSums(path))
	s.untilDead(0)
	s.untilTaken(to, n)
	t.Logf("the other %d in %.1f s", got.Left, time.Since(began).Seconds())
}

// untilTaken waits until the service has taken so many predictions, each once.
func (s *site) untilTaken(by *receiver, n int) {
	s.t.Helper()
	await(s.t, func() bool { return by.took().Predictions >= n }, "the service does not get %d", n)
	require.Equal(s.t, taken{Predictions: n, Requests: n}, by.took(), "nothing is given twice")
}

// count writes a number as pages do.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}

// Letters that are selected are redriven until none is left.
func TestRedriveOfASelection(t *testing.T) {
	t.Parallel()
	const n = 3
	to := &receiver{}
	s := startWith(t, "", usual, to.serve)
	s.sendMany(n)
	s.untilDead(n)
	to.repair()
	b := newTab(t, s.url)
	b.open("/dead/letters")
	b.do(chromedp.Click(chromedp.CSS("thead input")))
	require.EqualValues(t, http.StatusOK, b.press("button[data-act]"))
	require.Contains(t, b.text(), "3 of 3 would be given")
	require.EqualValues(t, http.StatusOK, b.press(`button[name=do]`))
	b.until(ended)
	require.Equal(t, sums{Given: n, Total: n}, b.shownSums())
	require.EqualValues(t, http.StatusOK, b.press(`.bar.after a.button`))
	require.Contains(t, b.text(), "No dead letters")
	s.untilTaken(to, n)
}
