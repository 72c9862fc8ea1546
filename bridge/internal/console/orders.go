package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// maxSelected bounds the entries that one form selects.
const maxSelected = 1000

// order is a job that a form describes.
type order struct {
	// Path is that of the form, and Back where the list is.
	Path, Back string
	// Title names the act, Verb is on the button, Would is what happens to those that count.
	Title, Verb, Would string
	// What is selected, in words.
	What string
	// Options are what the person may choose beside the rate.
	Options []option
	// Drops: what is done cannot be taken back, so the person types how many.
	Drops bool
	// consumer is the one that is given something, empty when that is nobody or several.
	consumer string
	// selected is how many entries are named one by one, 0 for all that match.
	selected int
	// body returns the call of the job.
	body func(adminapi.JobCall, float64, bool) any
	kind string
}

// option is a choice of a form.
type option struct {
	Name, Label string
	On          bool
}

// hidden is a field of a form that the person does not see.
type hidden struct{ Name, Value string }

// panel is what an order would do.
type panel struct {
	order

	Plan adminapi.JobPlan
	// Hidden are the fields of the form that select.
	Hidden []hidden
	Rate   string
	// Key makes a form that is sent twice one job.
	Key string
	// Consumer is the one that is given something, nil when it could not be asked.
	Consumer *adminapi.ConsumerState
	// Wrong is what the person must put right.
	Wrong badForm
}

// PageTitle names the page.
func (p panel) PageTitle() string { return p.Title }

// Left is what would be left out, in words.
func (p panel) Left() []outcome { return outcomesOf(p.kind, p.Plan.LeftOut) }

// Hindrance says why the consumer will not get at once what it is given.
func (p panel) Hindrance() string { return hindrance(p.Consumer) }

// Button is what the button does, empty when there is nothing to do.
func (p panel) Button() string {
	handled := p.Plan.LeftOut[adminapi.OutcomeHandled]
	switch {
	case p.Plan.Count > 0 || p.Plan.More:
		return p.Verb + " " + count(p.Plan.Count)
	case handled > 0 && p.kind == adminapi.JobRedrive:
		return "Remove " + plural(handled, "dead letter", "dead letters")
	}
	return ""
}

// OutputsProblem: it is not known where the outputs are.
func (p panel) OutputsProblem() bool {
	return p.Plan.Outputs == nil && p.Plan.Count > 0 && (p.kind == adminapi.JobRedrive || p.kind == adminapi.JobReplay)
}

// Takes is how long the job would take.
func (p panel) Takes() string { return lasts(p.Plan.TakesSeconds) }

// Gone is how many of the named entries are no longer there.
func (p panel) Gone() int {
	if p.selected == 0 || p.Plan.More {
		return 0
	}
	return max(0, p.selected-p.Plan.Total)
}

var panelPage = page{template: "panel", title: "What would happen"}

// orderPage returns the page of what an order would do. Its query selects.
func orderPage(rail string, read func(v *visit) (order, error)) page {
	p := panelPage
	p.rail = rail
	p.load = func(v *visit) (any, error) {
		_ = v.request.ParseForm() // what can be read of the query
		o, err := read(v)
		if wrong, ok := errors.AsType[badForm](err); ok {
			return panel{order: o, Wrong: wrong}, nil
		}
		if err != nil {
			return nil, err
		}
		return v.plan(o, "")
	}
	return p
}

// orderAct returns the act of a form: what the order would do or, when the person has seen that,
// the job.
func orderAct(rail string, read func(v *visit) (order, error)) act {
	return func(v *visit) (done, error) {
		p := panelPage
		p.rail = rail
		o, err := read(v)
		if wrong, ok := errors.AsType[badForm](err); ok {
			p.status = http.StatusBadRequest
			return done{page: p, data: panel{order: o, Wrong: wrong}}, nil
		}
		if err != nil {
			return done{}, err
		}
		var wrong badForm
		if v.request.PostForm.Has("do") {
			job, err := v.begin(o)
			if err == nil {
				return done{to: jobPath(job.ID, v.back(""))}, nil
			}
			var ok bool
			if wrong, ok = errors.AsType[badForm](err); !ok {
				return done{}, err
			}
		}
		shown, err := v.plan(o, wrong)
		return done{page: p, data: shown}, err
	}
}

// plan asks what an order would do.
func (v *visit) plan(o order, wrong badForm) (panel, error) {
	rate, err := v.rate()
	if err != nil && wrong == "" {
		wrong = errRate
	}
	p := panel{order: o, Wrong: wrong, Rate: v.request.FormValue("rate"), Key: rand.Text()}
	asked := []string{"rate", "key", "do", "expect", "total"}
	for _, option := range o.Options {
		asked = append(asked, option.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(v.request.Form)) {
		for _, value := range v.request.Form[name] {
			if value != "" && !slices.Contains(asked, name) {
				p.Hidden = append(p.Hidden, hidden{name, value})
			}
		}
	}
	p.Plan, err = tell[adminapi.JobPlan](v, "/jobs", o.body(adminapi.JobCall{Kind: o.kind}, rate, true))
	if o.consumer != "" && err == nil {
		if state, err := ask[adminapi.ConsumerState](v, "/consumers/"+escaped(o.consumer), nil); err == nil {
			p.Consumer = &state
		}
	}
	if p.Rate == "" && p.Plan.Rate > 0 {
		p.Rate = strconv.FormatFloat(p.Plan.Rate, 'f', -1, 64)
	}
	return p, err
}

// begin begins the job. The error is a [badForm] when the person must put something right.
func (v *visit) begin(o order) (job adminapi.Job, err error) {
	call := adminapi.JobCall{Kind: o.kind}
	rate, err := v.rate()
	if err == nil && o.Drops {
		call.Expect, err = v.typed()
	}
	if err != nil {
		return job, err
	}
	text, err := json.Marshal(o.body(call, rate, false))
	if err != nil {
		return job, fmt.Errorf("writing a request to the API: %w", err)
	}
	err = v.call(http.MethodPost, "/jobs", text, http.Header{"Idempotency-Key": {v.request.PostFormValue("key")}}, &job)
	if p, ok := errors.AsType[*problem](err); ok && p.Status == http.StatusUnprocessableEntity {
		return job, badForm("This form has begun a job before, with other choices: see the jobs. What would happen now:")
	}
	return job, err
}

// typed is how many entries the person has typed, which is how many the page showed.
func (v *visit) typed() (*int, error) {
	n, err := strconv.Atoi(strings.NewReplacer(",", "", " ", "").Replace(v.request.PostFormValue("expect")))
	if err != nil || strconv.Itoa(n) != v.request.PostFormValue("total") {
		return nil, badForm("What is dropped is gone: type how many are dropped.")
	}
	return &n, nil
}

// badForm is what a person must put right in a form before anything can be asked.
type badForm string

func (e badForm) Error() string { return string(e) }

var errRate = badForm(fmt.Sprintf("The rate is %v to %v a second.", adminapi.MinJobRate, adminapi.MaxJobRate))

// rate is that of the form, 0 when it has none.
func (v *visit) rate() (float64, error) {
	text := strings.TrimSpace(v.request.FormValue("rate"))
	if text == "" {
		return 0, nil
	}
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= adminapi.MinJobRate && rate <= adminapi.MaxJobRate) {
		return 0, errRate
	}
	return rate, nil
}

// seqs are the entries that a form selects one by one.
func (v *visit) seqs() (seqs []uint64, err error) {
	for _, text := range v.request.Form["seqs"] {
		seq, err := strconv.ParseUint(text, 10, 64)
		if err != nil || len(seqs) == maxSelected {
			return nil, badForm(fmt.Sprintf("At most %d entries can be selected: go back and select less.", maxSelected))
		}
		seqs = append(seqs, seq)
	}
	return seqs, nil
}

const errNothing = badForm("Nothing is selected: go back and tick what is meant.")
