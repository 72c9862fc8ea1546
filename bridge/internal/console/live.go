package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/eventstream"
)

const (
	// liveRate is how many rows a second a person can still look at. Beyond it the API samples.
	liveRate = 20
	// liveKept is how many rows a page keeps, see app.js.
	liveKept = 200
	// liveBefore is how many rows of what came before a page begins with.
	liveBefore = 50
)

var livePages = map[string]page{
	"/live": {template: "live", title: "Live", load: live},
}

var liveStreams = map[string]stream{
	"/live/rows": {path: "/events/live", params: []string{"event", "source", "status", "model", "prediction", "consumer", "rate", "last_event_id"}, rows: func() func(eventstream.Event) (template.HTML, error) { return (&liveRows{}).row }},
}

// liveData is the page of what comes.
type liveData struct {
	// Query is the filter line.
	Query  string
	Events []adminapi.Event
	// Rows is where the rows to come are from.
	Rows string
	// BeforeProblem is why nothing is there of what came before.
	BeforeProblem error
	// Wrong is why the filter line cannot be understood.
	Wrong error
}

// Chips are common filters.
func (liveData) Chips() []choice {
	return []choice{{"", "All"}, {"status:completed", "Completed"}, {"status:failed", "Failed"}, {"event:outputs.archived", "Archived"}}
}

// live loads what came before, so that nobody looks at an empty page. The rows to come are those
// behind it.
func live(v *visit) (any, error) {
	d := liveData{Query: strings.TrimSpace(v.request.URL.Query().Get("q"))}
	filter, err := liveFilter(d.Query)
	if err != nil {
		d.Wrong = err
		return d, nil //nolint:nilerr // the page says it, beside the line
	}
	rows := url.Values{"rate": {strconv.Itoa(liveRate)}}
	maps.Copy(rows, filter)
	if !filter.Has("consumer") { // the list cannot select by consumer
		filter.Set("limit", strconv.Itoa(liveBefore))
		list, err := ask[adminapi.EventList](v, "/events", filter)
		d.Events, d.BeforeProblem = list.Events, err
		if len(d.Events) > 0 && list.AsOf.IsZero() {
			rows.Set("last_event_id", strconv.FormatUint(d.Events[0].Seq, 10))
		}
	}
	d.Rows = "/live/rows?" + rows.Encode()
	return d, nil
}

// liveFilter reads the filter line: KEY:VALUE, or the id of a prediction.
func liveFilter(line string) (url.Values, error) {
	filter := url.Values{}
	for term := range strings.FieldsSeq(line) {
		key, value, ok := strings.Cut(term, ":")
		if !ok {
			key, value = "prediction", term
		}
		switch key {
		case "id":
			key = "prediction"
		case "event", "source", "status", "model", "prediction", "consumer":
		default:
			return nil, wrong("Events cannot be filtered by %q: write status:failed, model:google/*, source:NAME, consumer:NAME, event:outputs.archived, or the id of a prediction.", text(key))
		}
		if filter.Has(key) {
			return nil, wrong("%s is there twice.", key)
		}
		filter.Set(key, value)
	}
	return filter, nil
}

// sampledEvery is how long what is left out is added up before a row says it: the API tells it
// more often than rows are read.
const sampledEvery = 2 * time.Second

// liveRows makes the rows of one browser.
type liveRows struct {
	// sampled is what was left out and not said yet, said when it was last said.
	sampled uint64
	said    time.Time
}

// row is the row of what the API tells.
func (r *liveRows) row(e eventstream.Event) (template.HTML, error) {
	var rows template.HTML
	switch e.Name {
	case adminapi.LiveEvent:
		var event adminapi.Event
		if err := json.Unmarshal([]byte(e.Data), &event); err != nil {
			return "", fmt.Errorf("reading an event of the API: %w", err)
		}
		html, err := liveHTML("live-event", event)
		if err != nil {
			return "", err
		}
		rows = html
	case adminapi.LiveGap, adminapi.LiveSampled:
		var left adminapi.LeftOut
		if err := json.Unmarshal([]byte(e.Data), &left); err != nil {
			return "", fmt.Errorf("reading an event of the API: %w", err)
		}
		if e.Name == adminapi.LiveGap {
			return liveHTML("live-left-out", leftOutWords(left))
		}
		r.sampled += left.LeftOut
	}
	if r.sampled == 0 || time.Since(r.said) < sampledEvery {
		return rows, nil
	}
	gap, err := liveHTML("live-left-out", leftOutWords(adminapi.LeftOut{LeftOut: r.sampled}))
	r.sampled, r.said = 0, time.Now()
	return rows + gap, err
}

func liveHTML(name string, data any) (template.HTML, error) {
	var out bytes.Buffer
	if err := templates["live"].ExecuteTemplate(&out, name, data); err != nil {
		return "", fmt.Errorf("filling a template: %w", err)
	}
	return template.HTML(out.String()), nil //nolint:gosec // the template has escaped it
}

// leftOutWords says what is not shown, and why.
func leftOutWords(l adminapi.LeftOut) string {
	switch l.Cause {
	case adminapi.GapBehind:
		return "Up to " + plural(l.LeftOut, "event is", "events are") + " not shown: this page was too far behind. They are stored, and listed with the predictions."
	case adminapi.GapGone:
		return "Up to " + plural(l.LeftOut, "event is", "events are") + " not shown: they are not in the stream any more."
	case adminapi.GapAnew:
		return "The stream was made anew: numbers begin again, and what came meanwhile is not shown."
	}
	return "Up to " + plural(l.LeftOut, "event is", "events are") + " not shown here: more than " + strconv.Itoa(liveRate) + " a second came."
}
