package console

import (
	"fmt"
	"html/template"
	"net/url"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

var deadPages = map[string]page{
	"/dead":         {template: "dead", title: "Dead letters", live: true, load: loadGroups},
	"/dead/letters": {template: "dead-letters", title: "Dead letters", rail: "dead", live: true, load: loadLetters},
	"/dead/{seq}":   {template: "dead-letter", title: "Dead letter", rail: "dead", load: loadLetter},
	"/dead/redrive": orderPage("dead", redriveOrder),
	"/dead/drop":    orderPage("dead", dropDeadOrder),
}

var deadActs = map[string]act{
	"/dead/redrive": orderAct("dead", redriveOrder),
	"/dead/drop":    orderAct("dead", dropDeadOrder),
}

// deadFilter is which dead letters a page shows.
type deadFilter struct{ Consumer, Cause, Prediction, Group string }

func (v *visit) deadFilter() deadFilter {
	return deadFilter{v.text("consumer"), v.text("cause"), v.text("prediction"), v.text("group")}
}

// Any reports whether the filter leaves something out.
func (f deadFilter) Any() bool { return f != deadFilter{} }

func (f deadFilter) query(cursor string) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"consumer": f.Consumer, "cause": f.Cause, "prediction": f.Prediction, "group": f.Group, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Query is the filter as that of an address.
func (f deadFilter) Query() template.URL { return queryOf(f.query("")) }

// Acts is the query of an act on all that match. No filter is the dead letters of every consumer.
func (f deadFilter) Acts() template.URL {
	q := f.query("")
	if f.Consumer == "" && f.Group == "" {
		q.Set("all", "1")
	}
	return queryOf(q)
}

// Chips are the parts of the filter, for the page of a path.
func (f deadFilter) Chips(path string) []chip {
	return chips(path, f.query(""), "consumer", "cause", "prediction", "group")
}

// words say which dead letters the filter has.
func (f deadFilter) words() string {
	words := "dead letters"
	if f.Consumer != "" {
		words += " of " + text(f.Consumer)
	}
	if f.Cause != "" {
		words += " with the cause “" + lower(deadCause(f.Cause).Words) + "”"
	}
	if f.Prediction != "" {
		words += " of prediction " + text(f.Prediction)
	}
	if f.Group != "" {
		words += " and one kind of error"
	}
	return words
}

type groupsData struct {
	Filter deadFilter
	List   adminapi.DeadGroupList
	Names  adminapi.Names
	Pager  pager
}

// Causes are those that can be chosen.
func (groupsData) Causes() map[string]cause { return deadCauses }

func loadGroups(v *visit) (any, error) {
	f, cursor := v.deadFilter(), v.param("cursor")
	f.Prediction, f.Group = "", "" // those are of letters
	d := groupsData{Filter: f}
	var g errgroup.Group
	g.Go(func() (err error) {
		d.List, err = ask[adminapi.DeadGroupList](v, "/dead/groups", f.query(cursor))
		return err
	})
	g.Go(func() error { d.Names, _ = ask[adminapi.Names](v, "/names", nil); return nil }) // for the form only
	err := g.Wait()
	d.Pager = newPager("/dead", f.query(""), cursor, d.List.Next)
	return d, err
}

type lettersData struct {
	Filter deadFilter
	List   adminapi.DeadLetterList
	Names  adminapi.Names
	Pager  pager
	// Group is that of the filter, nil without one.
	Group *adminapi.DeadGroup
}

// Causes are those that can be chosen.
func (lettersData) Causes() map[string]cause { return deadCauses }

func loadLetters(v *visit) (any, error) {
	f, cursor := v.deadFilter(), v.param("cursor")
	d := lettersData{Filter: f}
	var g errgroup.Group
	g.Go(func() (err error) {
		d.List, err = ask[adminapi.DeadLetterList](v, "/dead", f.query(cursor))
		return err
	})
	g.Go(func() error { d.Names, _ = ask[adminapi.Names](v, "/names", nil); return nil }) // for the form only
	if f.Group != "" {
		g.Go(func() error {
			groups, err := ask[adminapi.DeadGroupList](v, "/dead/groups", deadFilter{Consumer: f.Consumer, Cause: f.Cause}.query(""))
			for i := range groups.Groups {
				if groups.Groups[i].ID == f.Group {
					d.Group = &groups.Groups[i]
				}
			}
			return err
		})
	}
	err := g.Wait()
	d.Pager = newPager("/dead/letters", f.query(""), cursor, d.List.Next)
	return d, err
}

type letterData struct {
	adminapi.DeadLetterDetail

	Body body
}

// PageTitle names the page.
func (d letterData) PageTitle() string { return fmt.Sprintf("Dead letter %d", d.Seq) }

func loadLetter(v *visit) (any, error) {
	d, err := ask[adminapi.DeadLetterDetail](v, "/dead/"+url.PathEscape(v.param("seq")), nil)
	return letterData{d, newBody(d.Content)}, err
}

// deadJob is the call of a job on dead letters.
type deadJob struct {
	adminapi.JobCall
	adminapi.DeadCall

	All bool `json:"all,omitempty"`
}

func (v *visit) deadOrder() (o order, err error) {
	f := v.deadFilter()
	seqs, err := v.seqs()
	all := v.text("all") != ""
	switch {
	case err != nil:
	case len(seqs) == 0 && (v.text("selected") != "" || f.Consumer == "" && f.Group == "" && !all):
		err = errNothing
	}
	o.What, o.Back, o.selected = f.words(), v.back("/dead/letters"+string(f.Query())), len(seqs)
	switch {
	case len(seqs) == 1:
		o.What = fmt.Sprintf("dead letter %d", seqs[0])
	case len(seqs) > 1:
		o.What = count(len(seqs)) + " selected dead letters"
	case !f.Any():
		o.What = "the dead letters of every consumer"
	}
	o.body = func(head adminapi.JobCall, rate float64, dry bool) any {
		call := deadJob{JobCall: head}
		if call.Seqs = seqs; len(seqs) == 0 {
			call.All = all
			call.Consumer, call.Cause, call.Prediction, call.Group = f.Consumer, bridge.DeadCause(f.Cause), f.Prediction, f.Group
		}
		call.Rate, call.DryRun, call.Handled = rate, dry, v.text("handled") != ""
		return call
	}
	return o, err
}

func redriveOrder(v *visit) (order, error) {
	o, err := v.deadOrder()
	o.kind, o.Path, o.Title, o.Verb = adminapi.JobRedrive, "/dead/redrive", "Redrive", "Redrive"
	o.consumer = v.deadFilter().Consumer
	o.Would = "would be given to their consumer again, as fresh events. Their dead letters are removed"
	o.Options = []option{{"handled", "Also those that were handled since", v.text("handled") != ""}}
	return o, err
}

func dropDeadOrder(v *visit) (order, error) {
	o, err := v.deadOrder()
	o.kind, o.Path, o.Title, o.Verb, o.Drops = adminapi.JobDropDead, "/dead/drop", "Drop", "Drop", true
	o.Would = "would be dropped for good. No consumer gets their events again"
	return o, err
}
