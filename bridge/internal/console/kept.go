package console

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var keptPages = map[string]page{
	"/quarantine":                {template: "quarantine", title: "Quarantine and refused", live: true, load: loadKept},
	"/quarantine/{stream}/{seq}": {template: "delivery", title: "Delivery", rail: "quarantine", load: loadDelivery},
	"/quarantine/reverify":       orderPage("quarantine", reverifyOrder),
	"/quarantine/drop":           orderPage("quarantine", dropKeptOrder),
}

var keptActs = map[string]act{
	"/quarantine/reverify": orderAct("quarantine", reverifyOrder),
	"/quarantine/drop":     orderAct("quarantine", dropKeptOrder),
	"/quarantine/accept":   accept,
}

// keptFilter is which kept deliveries a page shows.
type keptFilter struct{ Stream, Source, Cause string }

func (v *visit) keptFilter() keptFilter {
	return keptFilter{v.text("stream"), v.text("source"), v.text("cause")}
}

// Any reports whether the filter leaves something out.
func (f keptFilter) Any() bool { return f != keptFilter{} }

// Why is the cause of the filter in words.
func (f keptFilter) Why() cause { return keptCause(f.Cause) }

func (f keptFilter) query(cursor string) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"stream": f.Stream, "source": f.Source, "cause": f.Cause, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Query is the filter as that of an address.
func (f keptFilter) Query() template.URL { return queryOf(f.query("")) }

// In is the filter of another place.
func (f keptFilter) In(stream string) template.URL { f.Stream = stream; return f.Query() }

// Chips are the parts of the filter but the place, which has links of its own.
func (f keptFilter) Chips() []chip {
	return chips("/quarantine", f.query(""), "source", "cause")
}

func (f keptFilter) words() string {
	words := "kept deliveries"
	switch f.Stream {
	case adminapi.PlaceQuarantine:
		words = "deliveries in quarantine"
	case adminapi.PlaceRefused:
		words = "refused deliveries"
	}
	if f.Source != "" {
		words += " of source " + text(f.Source)
	}
	if f.Cause != "" {
		words += " with the cause “" + lower(f.Why().Words) + "”"
	}
	return words
}

type keptData struct {
	Filter keptFilter
	List   adminapi.KeptList
	Pager  pager
	// Causes are those that the filter has. CausesProblem is why there are none.
	Causes        []adminapi.KeptCause
	CausesProblem error
	// Quarantined and Refused are how many there are, whatever the filter.
	Quarantined, Refused uint64
}

// Any reports whether there is any delivery, whatever the filter.
func (d keptData) Any() bool { return d.Quarantined+d.Refused > 0 }

func loadKept(v *visit) (any, error) {
	f, cursor := v.keptFilter(), v.param("cursor")
	d := keptData{Filter: f}
	var causes adminapi.KeptCauses
	var g errgroup.Group
	g.Go(func() (err error) {
		d.List, err = ask[adminapi.KeptList](v, "/quarantine", f.query(cursor))
		return err
	})
	g.Go(func() error {
		causes, d.CausesProblem = ask[adminapi.KeptCauses](v, "/quarantine/causes", nil)
		return nil
	})
	err := g.Wait()
	for _, c := range causes.Causes {
		if c.Stream == adminapi.PlaceQuarantine {
			d.Quarantined += c.Count
		} else {
			d.Refused += c.Count
		}
		if (f.Stream == "" || f.Stream == c.Stream) && (f.Source == "" || f.Source == c.Source) && (f.Cause == "" || f.Cause == c.Cause) {
			d.Causes = append(d.Causes, c)
		}
	}
	d.Pager = newPager("/quarantine", f.query(""), cursor, d.List.Next)
	return d, err
}

type deliveryData struct {
	adminapi.KeptDetail

	Body body
}

// PageTitle names the page.
func (d deliveryData) PageTitle() string {
	if d.Stream == adminapi.PlaceRefused {
		return fmt.Sprintf("Refused delivery %d", d.Seq)
	}
	return fmt.Sprintf("Quarantined delivery %d", d.Seq)
}

// Why is the cause in words.
func (d deliveryData) Why() cause { return keptCause(d.Cause) }

func loadDelivery(v *visit) (any, error) {
	d, err := ask[adminapi.KeptDetail](v, "/quarantine/"+url.PathEscape(v.param("stream"))+"/"+url.PathEscape(v.param("seq")), nil)
	return deliveryData{d, newBody(d.Content)}, err
}

// keptJob is the call of a job on kept deliveries.
type keptJob struct {
	adminapi.JobCall
	adminapi.KeptCall

	Rate float64 `json:"rate,omitempty"`
}

func (v *visit) keptOrder() (o order, err error) {
	f := v.keptFilter()
	seqs, err := v.seqs()
	if err == nil && len(seqs) == 0 && v.text("selected") != "" {
		err = errNothing
	}
	o.What, o.Back, o.selected = f.words(), "/quarantine"+string(f.Query()), len(seqs)
	switch {
	case len(seqs) == 1:
		o.What = fmt.Sprintf("delivery %d", seqs[0])
	case len(seqs) > 1:
		o.What = count(len(seqs)) + " selected deliveries"
	}
	o.body = func(head adminapi.JobCall, rate float64, dry bool) any {
		call := keptJob{JobCall: head, Rate: rate}
		call.Stream, call.DryRun = f.Stream, dry
		if call.Seqs = seqs; len(seqs) == 0 {
			call.Source, call.Cause = f.Source, f.Cause
		}
		call.AcceptStale, call.AcceptPathToken = v.text("accept_stale") != "", v.text("accept_path_token") != ""
		return call
	}
	return o, err
}

func reverifyOrder(v *visit) (order, error) {
	o, err := v.keptOrder()
	o.kind, o.Path, o.Title, o.Verb = adminapi.JobReverify, "/quarantine/reverify", "Re-verify", "Make events"
	o.Would = "would become events, with the secrets of now. They are removed here once the events are stored"
	o.Options = []option{
		{"accept_stale", "Also those that were too old on arrival", v.text("accept_stale") != ""},
		{"accept_path_token", "Also those without the right path token", v.text("accept_path_token") != ""},
	}
	return o, err
}

func dropKeptOrder(v *visit) (order, error) {
	o, err := v.keptOrder()
	if err == nil && v.text("stream") == "" {
		err = badForm("What is dropped is gone: go back and choose either the quarantine or the refused deliveries.")
	}
	o.kind, o.Path, o.Title, o.Verb, o.Drops = adminapi.JobDropKept, "/quarantine/drop", "Drop", "Drop", true
	o.Would = "would be dropped for good. They never become events"
	return o, err
}

// acceptData is what accepting did, or would do.
type acceptData struct {
	Report adminapi.KeptReport
	Hidden []hidden
	Reason string
	Back   template.URL
}

// PageTitle names the page.
func (acceptData) PageTitle() string { return "Accept" }

// Stay are those that no person can accept.
func (d acceptData) Stay() []outcome { return outcomesOf("", d.Report.Remaining) }

// accept makes events of deliveries that somebody has looked at, or says what would become of
// them.
func accept(v *visit) (done, error) {
	f := v.keptFilter()
	seqs, err := v.acceptable(f)
	if wrong, ok := errors.AsType[badForm](err); ok {
		shown := panel{order: order{Title: "Accept", Back: "/quarantine" + string(f.Query())}, Wrong: wrong}
		return done{page: page{template: "panel", rail: "quarantine", status: http.StatusBadRequest}, data: shown}, nil
	}
	if err != nil {
		return done{}, err
	}
	d := acceptData{Reason: v.text("reason"), Back: "/quarantine" + f.Query()}
	for _, name := range []string{"seqs", "stream", "source", "cause"} {
		for _, value := range v.request.PostForm[name] {
			d.Hidden = append(d.Hidden, hidden{name, value})
		}
	}
	d.Report, err = tell[adminapi.KeptReport](v, "/quarantine/accept", adminapi.AcceptCall{
		Seqs: seqs, DryRun: !v.request.PostForm.Has("do"), By: v.who.Name, Reason: d.Reason,
	})
	return done{page: page{template: "accept", title: "Accept", rail: "quarantine"}, data: d}, err
}

// acceptable are the deliveries that a form selects, of the quarantine.
func (v *visit) acceptable(f keptFilter) ([]uint64, error) {
	seqs, err := v.seqs()
	switch {
	case err != nil:
		return nil, err
	case len(seqs) == 0:
		return nil, errNothing
	case f.Stream != adminapi.PlaceQuarantine:
		return nil, badForm("A refused delivery is not authentic, and cannot be accepted: put right what is wrong, then re-verify.")
	}
	return seqs, nil
}
