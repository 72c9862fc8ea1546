package console

import (
	"errors"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// archiveKind is the kind of consumers that archive outputs.
const archiveKind = "archive"

// predictionData is all about one prediction.
type predictionData struct {
	adminapi.Timeline

	Source, ID string
	// Unknown is why nothing is known of it.
	Unknown error
	// Cursor is that of a page of older events.
	Cursor string
	// Event is the one whose body is shown, nil when it cannot be read, for EventProblem.
	Event        *adminapi.EventDetail
	EventProblem error
	// Curl posts the event to a service on this machine; empty if that is not possible.
	Curl     string
	Handlers []handler
	Track    track
	// Archives are the consumers that archive outputs.
	Archives []string
}

func prediction(v *visit) (any, error) {
	d := predictionData{Source: v.param("source"), ID: v.param("id"), Cursor: v.request.URL.Query().Get("cursor")}
	var err error
	d.Timeline, err = ask[adminapi.Timeline](v, apiPrediction(d.Source, d.ID)+"/timeline", valuesOf("cursor", d.Cursor))
	if p, ok := errors.AsType[*problem](err); ok && p.Missing() {
		d.Unknown = err
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.Handlers = handlersOf(d.Events)
	d.Track = trackOf(&d.Timeline, v.now)
	var header string
	var g errgroup.Group
	g.Go(func() error {
		if seq := d.shownEvent(v.request.URL.Query().Get("event")); seq != "" {
			event, err := ask[adminapi.EventDetail](v, "/events/"+seq, nil)
			d.Event, d.EventProblem = &event, err
		}
		return nil
	})
	g.Go(func() error {
		sources, _ := ask[adminapi.SourceList](v, "/sources", nil) // without it there is no command to copy
		for _, s := range sources.Sources {
			if s.Name == d.Source {
				header = s.SignatureHeader
			}
		}
		return nil
	})
	g.Go(func() error {
		consumers, _ := ask[adminapi.ConsumerList](v, "/consumers", nil) // without them a button is missing
		for _, c := range consumers.Consumers {
			if c.Kind == archiveKind {
				d.Archives = append(d.Archives, c.Name)
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if d.EventProblem == nil && d.Event != nil {
		d.Curl = curl(d.Event, header)
	}
	return d, nil
}

// PageTitle and PageStatus are those of the page.
func (d predictionData) PageTitle() string { return text(d.ID) }

func (d predictionData) PageStatus() int {
	if d.Unknown != nil {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// shownEvent returns the sequence of the event whose body is shown: the one asked for, else the
// one that ended the prediction, else the last one of the provider.
func (d *predictionData) shownEvent(asked string) string {
	best := uint64(0)
	for _, e := range d.Events { // the newest first
		seq := strconv.FormatUint(e.Sequence, 10)
		switch {
		case seq == asked:
			return seq
		case e.Kind == bridge.KindPrediction && (best == 0 || bridge.Terminal(e.Status) && !e.Conflict):
			best = e.Sequence
		}
	}
	if best == 0 && len(d.Events) > 0 {
		best = d.Events[0].Sequence
	}
	if best == 0 {
		return ""
	}
	return strconv.FormatUint(best, 10)
}

// Took is how long the prediction took.
func (d predictionData) Took() took {
	p := &d.Prediction
	return tookOf(p.CreatedAt, p.CompletedAt, p.ReceivedAt, p.Inference)
}

// Open reports whether the end is waited for.
func (d predictionData) Open() bool { return d.Prediction.Open() }

// Path is that of the page.
func (d predictionData) Path() string { return predictionPath(d.Source, d.ID) }
