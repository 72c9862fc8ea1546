package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// againData is what giving one event again would do, or did.
type againData struct {
	Source, ID, Consumer string
	// Event is the sequence of an event that is replayed, or Dead that of a dead letter that is
	// redriven; the other one is 0.
	Event, Dead uint64
	// Run makes it one and the same replay when the form is sent twice.
	Run    string
	Report adminapi.RedeliveryReport
	// State is how the consumer does, nil when it could not be asked.
	State *adminapi.ConsumerState
}

// giveAgain shows what giving one event to one consumer again would do and, when the form says
// so, does it.
func giveAgain(v *visit) (done, error) {
	form := v.request.PostFormValue
	d := againData{Source: form("source"), ID: form("id"), Consumer: form("consumer"), Run: form("run")}
	for name, into := range map[string]*uint64{"event": &d.Event, "dead": &d.Dead} {
		if text := form(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return done{}, &problem{Status: http.StatusBadRequest, Title: "The form names no event: go back and try again."}
			}
			*into = n
		}
	}
	if d.Run == "" {
		d.Run = rand.Text()
	}
	options := adminapi.RedeliveryOptions{DryRun: form("do") == "", Handled: form("handled") != ""}
	var err error
	if d.Dead != 0 {
		d.Report, err = tell[adminapi.RedeliveryReport](v, "/dead/redrive", adminapi.DeadCall{Page: adminapi.Page{Seqs: []uint64{d.Dead}}, RedeliveryOptions: options})
	} else {
		d.Report, err = tell[adminapi.RedeliveryReport](v, "/events/replay", adminapi.EventCall{
			Consumer: d.Consumer, Run: d.Run, Page: adminapi.Page{Seqs: []uint64{d.Event}}, RedeliveryOptions: options,
		})
	}
	if err != nil {
		return done{}, err
	}
	if state, err := ask[adminapi.ConsumerState](v, "/consumers/"+escaped(d.Consumer), nil); err == nil {
		d.State = &state
	}
	return done{page: page{template: "again", title: "Give again", rail: "predictions"}, data: d}, nil
}

// PageTitle is that of the page.
func (d againData) PageTitle() string {
	if d.Dead != 0 {
		return "Redrive to " + text(d.Consumer)
	}
	return "Give to " + text(d.Consumer) + " again"
}

// Path is that of the prediction.
func (d againData) Path() string { return predictionPath(d.Source, d.ID) }

// Stays says why the event was not given.
func (d againData) Stays() string {
	for cause := range d.Report.Remaining {
		switch cause {
		case "no_event":
			return "There is no event in the dead letter any more."
		case "no_consumer":
			return "The consumer has no durable, so nobody would get the event."
		case "not_reading":
			return "The consumer's durable does not read events that are given again."
		case "too_large":
			return "The store does not take a copy of the event: it is too large."
		}
		return "The event stays as it is: " + words(cause) + "."
	}
	return ""
}

// Hindrance says why the consumer will not get the event at once; empty when nothing is known.
func (d againData) Hindrance() string {
	if d.State == nil {
		return ""
	}
	switch d.State.State { //nolint:exhaustive // others do not hinder
	case "paused":
		return "The consumer is paused: the event waits until it is resumed."
	case "blocked":
		return "The target fails and is left alone: the event waits until it answers again."
	case "unread":
		return "No program asks for the consumer's events: the event waits until one does."
	case "failing":
		return "Attempts of the consumer fail at the moment: repair first what the last error names."
	}
	return ""
}

// apiPrediction is the path of a prediction in the API.
func apiPrediction(source, id string) string {
	return "/predictions/" + url.PathEscape(source) + "/" + escaped(id)
}

// escaped is a segment of a path of the API, which has no steps.
func escaped(segment string) string {
	if strings.Trim(segment, ".") == "" {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}
