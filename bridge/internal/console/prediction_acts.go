package console

import (
	"errors"
	"html/template"
	"net/http"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// watchPrediction announces a prediction, so that the bridge expects its end.
func watchPrediction(v *visit) (done, error) {
	source, id := v.request.PostFormValue("source"), v.request.PostFormValue("id")
	err := v.call(http.MethodPut, apiPrediction(source, id), []byte("{}"), nil, &bridge.Watched{})
	return done{to: predictionPath(source, id)}, err
}

// polledData is what a provider says of a prediction that has no end.
type polledData struct {
	adminapi.Polled

	Source, ID string
	// Why says why nobody was asked, or did not answer; nil when they did.
	Why error
}

// Path is that of the prediction.
func (d polledData) Path() string { return predictionPath(d.Source, d.ID) }

// pollPrediction asks the provider of a prediction, and shows the prediction when it has ended.
func pollPrediction(v *visit) (done, error) {
	d := polledData{Source: v.request.PostFormValue("source"), ID: v.request.PostFormValue("id")}
	var err error
	d.Polled, err = tell[adminapi.Polled](v, "/poll", adminapi.PollCall{Source: d.Source, Prediction: d.ID})
	if p, ok := errors.AsType[*problem](err); ok && slices.Contains([]int{http.StatusNotFound, http.StatusConflict, http.StatusBadGateway, http.StatusServiceUnavailable}, p.Status) {
		d.Why, err = p, nil
	}
	if err == nil && d.Result == adminapi.PollEnded {
		v.awaitEnd(d.Source, d.ID)
		return done{to: d.Path()}, nil
	}
	return done{page: page{template: "polled", title: "Asked the provider", rail: "predictions"}, data: d}, err
}

// awaitTime bounds how long a person waits until what they have sent is shown.
const awaitTime = "3s"

// awaitEnd waits until it is known that a prediction has ended. If that takes long, its page says
// what is known by then.
func (v *visit) awaitEnd(source, id string) {
	_, _ = ask[bridge.PredictionState](v, apiPrediction(source, id), valuesOf("wait", awaitTime))
}

// Archiving leads to what gives the prediction to an archive again; empty when that has all
// outputs, cannot have them any more, or still tries by itself.
func (d predictionData) Archiving() template.URL {
	p := &d.Prediction
	if p.OutputCount == p.Stored || !slices.ContainsFunc(p.Outputs, func(o bridge.OutputState) bool {
		return o.Custody == bridge.CustodyPending || o.Custody == bridge.CustodyFailed
	}) {
		return ""
	}
	for _, h := range d.Handlers {
		switch {
		case !slices.Contains(d.Archives, h.Consumer) || h.State == "not_meant" || !h.Again() || h.Event.Kind != bridge.KindPrediction || !bridge.Terminal(h.Event.Status):
		case h.DeadSeq != 0:
			return "/dead/redrive" + query("seqs", h.DeadSeq, "consumer", h.Consumer, "back", d.Path())
		default: // also when it has handled the event, and gave the output up
			return "/events/replay" + query("seqs", h.Event.Sequence, "consumer", h.Consumer, "handled", "1", "back", d.Path())
		}
	}
	return ""
}

// Askable reports whether a provider may know more than the bridge.
func (d predictionData) Askable() bool { return d.Prediction.Open() || d.Prediction.Lost != nil }
