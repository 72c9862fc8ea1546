package console

import (
	"cmp"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var firstPages = map[string]page{
	"/first-run": {template: "first", title: "First run", rail: "now", live: true, load: firstRun},
}

var firstActs = map[string]act{"/first-run/test-event": sendTestEvent}

// sendTestEvent has the bridge send itself a webhook, and shows what came of it.
func sendTestEvent(v *visit) (done, error) {
	event, err := tell[adminapi.TestEvent](v, "/test-events", adminapi.TestCall{Source: v.request.PostFormValue("source")})
	if err != nil {
		return done{}, err
	}
	v.awaitEnd(event.Source, event.Prediction)
	return done{to: predictionPath(event.Source, event.Prediction)}, nil
}

// isFirstRun reports whether the bridge has never had an event. A view that cannot be asked, or
// is being made anew, does not know.
func isFirstRun(v *visit) bool {
	view, err := ask[adminapi.ViewStatus](v, "/view", nil)
	if err != nil || view.Rebuilding || view.Error != "" {
		return false
	}
	for name, s := range view.Streams {
		if strings.HasSuffix(name, "_EVENTS") {
			return s.Folded == 0 && s.Behind == 0 && s.Error == ""
		}
	}
	return false
}

// firstData is what leads to the first event.
type firstData struct {
	Sources []adminapi.Source
	Refused uint64
	// Newest is a prediction that is known, nil for none.
	Newest *adminapi.Prediction
}

func firstRun(v *visit) (any, error) {
	var d firstData
	var g errgroup.Group
	g.Go(func() error {
		list, err := ask[adminapi.SourceList](v, "/sources", nil)
		d.Sources = list.Sources
		return err
	})
	g.Go(func() error {
		status, err := ask[adminapi.Status](v, "/status", nil)
		d.Refused = status.Refused
		return err
	})
	g.Go(func() error {
		list, err := ask[adminapi.PredictionList](v, "/predictions", valuesOf("limit", "1"))
		if len(list.Predictions) > 0 {
			d.Newest = &list.Predictions[0]
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return d, nil
}

// Secret reports whether a source can accept a webhook.
func (d firstData) Secret() bool {
	for _, s := range d.Sources {
		if s.HasSecret {
			return true
		}
	}
	return false
}

// Place says in words what sets the secret of a source.
func (d firstData) Place(s adminapi.Source) string {
	place := "env:GET3W_WEBHOOK_SECRET"
	if len(s.Secrets) > 0 {
		place = s.Secrets[0]
	}
	if path, ok := strings.CutPrefix(place, "file:"); ok {
		return "Write the provider's webhook secret into the file " + path + ": the bridge reads it by itself."
	}
	return "Set the variable " + strings.TrimPrefix(place, "env:") + " to the provider's webhook secret, and start the bridge again."
}

// CanTest reports whether a source can be sent a test event.
func (firstData) CanTest(s adminapi.Source) bool { return s.HasSecret && s.Kind == "get3w" }

// Send is the command that posts a signed webhook to a source; empty when its address has a
// secret part.
func (d firstData) Send(s adminapi.Source) string {
	if s.PathToken {
		return ""
	}
	secret := ""
	if len(s.Secrets) > 0 && s.Secrets[0] != "env:GET3W_WEBHOOK_SECRET" {
		secret = " --secret " + quote(s.Secrets[0])
	}
	return "hookspan send --url " + quote(s.Webhook) + secret
}

// Check is the command that tells whether the address of a source reaches the bridge.
func (d firstData) Check(s adminapi.Source) string {
	base, _, _ := strings.Cut(s.Webhook, "/webhooks/")
	return "curl -i " + quote(cmp.Or(base, s.Webhook)+"/")
}
