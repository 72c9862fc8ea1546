package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// maxClicks is how many clicks may lead from the start page to a prediction that is handled.
const maxClicks = 5

// stranded is a prediction that has not reached billing, and how a person has it reach it.
type stranded struct {
	name string
	// answers is the status with which the service answers at first.
	answers int
	model   string
	// before brings about the rest of the cause.
	before func(s *site)
	// why is what the page of the prediction says, state is that of billing.
	state, why string
	// repair is what the person clicks once the service answers again, and ends at a path; nil is
	// nothing.
	repair func(p *visitor, path string)
}

// again gives the event to billing once more, and looks how it goes.
func again(p *visitor, path string) {
	require.EqualValues(p.t, http.StatusOK, p.click(`main a.button[href*="consumer=billing"]`))
	require.EqualValues(p.t, http.StatusOK, p.click(`button[name=do]`))
	require.EqualValues(p.t, http.StatusOK, p.click(`main .bar a[href="`+path+`"]`))
}

var strandings = []stranded{
	{name: "the service is down", answers: 503, model: "google/imagen", state: "failing", why: "503 Service Unavailable"},
	{name: "it is a dead letter", answers: 422, model: "google/imagen", state: "dead letter", why: "422 Unprocessable Entity", repair: again},
	{
		name: "the consumer is paused", answers: 200, model: "google/imagen", state: "waiting in a pause", why: "paused until somebody resumes it",
		before: func(s *site) { tell(s, "/consumers/billing/pause", `{}`) },
		repair: func(p *visitor, path string) {
			require.EqualValues(p.t, http.StatusOK, p.click(`.problems a[href="/consumers/billing"]`))
			require.EqualValues(p.t, http.StatusOK, p.click(`form[action$="/resume"] button`))
			p.back(path)
		},
	},
	{name: "the filter does not pick it", answers: 200, model: "get3w/flux-dev", state: "not for this filter", why: "Its filter does not pick the event", repair: again},
	{
		name: "the breaker is open", answers: 503, model: "google/imagen", state: "blocked", why: "The target fails and is left alone",
		before: func(s *site) {
			for i := range 12 { // more than it takes
				s.send(prediction{ID: fmt.Sprint("pred_other_", i), Model: "google/imagen", Status: "completed"}, nil)
			}
			await(s.t, func() bool {
				return ask[adminapi.ConsumerState](s, "/consumers/billing").State == "blocked"
			}, "the breaker does not open")
		},
	},
}

// Why has a prediction not reached billing? Whoever comes to the console with its id sees why, and
// has it handled with few clicks.
func TestWhyHasItNotReachedBilling(t *testing.T) {
	t.Parallel()
	var answers atomic.Int64
	s := startWith(t, "", `start: all, filter: {model: "google/*"}`, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answers.Load())) })
	s.begin()
	for i, c := range strandings {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			id := fmt.Sprint("pred_stranded_", i)
			path := "/predictions/get3w/" + id
			answers.Store(int64(c.answers))
			if c.before != nil {
				c.before(s)
			}
			s.send(prediction{ID: id, Model: c.model, Status: "completed"}, nil)
			// Whoever is called at night comes later.
			var got struct{ State string }
			await(t, func() bool { got.State = s.stands(id); return got.State == c.state }, "billing does not come to be %q: %q", c.state, &got)

			p := comes(t, s)
			p.find(id)
			require.Equal(t, path, p.path())
			require.Contains(t, p.text(), c.why)
			require.Equal(t, c.state, value[string](p.tab, billing))
			answers.Store(http.StatusOK) // the owner of the service has seen to it
			if c.repair != nil {
				c.repair(p, path)
			}
			require.Equal(t, path, p.path())
			p.until(billing + ` === 'handled'`)
			require.LessOrEqual(t, p.clicks, maxClicks)
			t.Logf("%d clicks, %.1f s", p.clicks, time.Since(p.since).Seconds())
		})
	}
}

// billing is what became of the prediction with billing, as its page says.
const billing = `[...document.querySelectorAll('[aria-label=Handlers] tbody tr')].find((r) => r.cells[0].innerText === 'billing')?.cells[1].innerText`

// stands is what became of a prediction with billing, as the API says.
func (s *site) stands(prediction string) string {
	s.t.Helper()
	for _, e := range ask[adminapi.Timeline](s, "/predictions/get3w/"+prediction+"/timeline").Events {
		for _, l := range e.Lanes {
			if e.Kind == bridge.KindPrediction && l.Consumer == "billing" {
				return l.Words
			}
		}
	}
	return ""
}
