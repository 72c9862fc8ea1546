package simulate

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	api = "/api/v1"
	// page is how many entries a list is asked for.
	page = "1000"
	// retries are made of a call that was answered 5xx or not at all.
	retries = 3
	// statusEvery and statusTries bound the looks for a new status.
	statusEvery = 200 * time.Millisecond
	statusTries = 50
)

// asker asks the bridge's API about one source.
type asker struct {
	*client.Client

	source string
}

// get asks for a path of segments, some times when that fails. It returns false for what is not
// there.
func (a asker) get(ctx context.Context, out any, query url.Values, segments ...string) (bool, error) {
	var path strings.Builder
	path.WriteString(api)
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	retry := backoff.Backoff{First: 200 * time.Millisecond, Max: time.Second}
	err := a.Ask(ctx, path.String(), query, out)
	for range retries {
		answered, ok := errors.AsType[*client.Error](err)
		if err == nil || ok && answered.Status < http.StatusInternalServerError || !retry.Wait(ctx) {
			break
		}
		err = a.Ask(ctx, path.String(), query, out)
	}
	if answered, ok := errors.AsType[*client.Error](err); ok && answered.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// predictions calls each with the predictions whose ids begin with prefix, the newest first.
func (a asker) predictions(ctx context.Context, prefix string, each func(adminapi.Prediction)) error {
	query := url.Values{"source": {a.source}, "q": {"id:" + prefix}, "limit": {page}}
	for {
		var list adminapi.PredictionList
		if _, err := a.get(ctx, &list, query, "predictions"); err != nil {
			return err
		}
		for _, p := range list.Predictions {
			each(p)
		}
		if list.Next == "" {
			return nil
		}
		query.Set("cursor", list.Next)
	}
}

// timeline returns all of a prediction's timeline, and false when the bridge knows none.
func (a asker) timeline(ctx context.Context, id string) (line adminapi.Timeline, found bool, err error) {
	query := url.Values{}
	for {
		var part adminapi.Timeline
		if found, err = a.get(ctx, &part, query, "predictions", a.source, id, "timeline"); !found {
			return line, false, err
		}
		line.Prediction, line.Events = part.Prediction, append(line.Events, part.Events...)
		if part.Next == "" {
			return line, true, nil
		}
		query.Set("cursor", part.Next)
	}
}

func (a asker) event(ctx context.Context, seq uint64) (e adminapi.EventDetail, found bool, err error) {
	found, err = a.get(ctx, &e, nil, "events", strconv.FormatUint(seq, 10))
	return e, found, err
}

// quarantined calls each with the bodies in the quarantine, the newest first, as long as there
// are more, and of the wanted ones only.
func (a asker) quarantined(ctx context.Context, wanted func(adminapi.KeptDelivery) (more, wanted bool), each func(body []byte)) error {
	query := url.Values{"source": {a.source}, "stream": {adminapi.PlaceQuarantine}, "limit": {page}}
	for {
		var list adminapi.KeptList
		if _, err := a.get(ctx, &list, query, "quarantine"); err != nil {
			return err
		}
		for _, entry := range list.Entries {
			more, is := wanted(entry)
			if !more {
				return nil
			}
			if !is {
				continue
			}
			var detail adminapi.KeptDetail
			found, err := a.get(ctx, &detail, nil, "quarantine", entry.Stream, strconv.FormatUint(entry.Seq, 10))
			if err != nil {
				return err
			}
			if found {
				each(detail.Bytes())
			}
		}
		if list.Next == "" {
			return nil
		}
		query.Set("cursor", list.Next)
	}
}

// journal returns how many records wait in the journal of the bridge that answers, at a time
// after the call: a status may be a second old.
func (a asker) journal(ctx context.Context) (uint64, error) {
	var first time.Time
	for range statusTries {
		var s adminapi.Status
		if _, err := a.get(ctx, &s, nil, "status"); err != nil {
			return 0, err
		}
		switch {
		case first.IsZero():
			first = s.At
		case s.At.Equal(first):
		case s.Journal == nil:
			return 0, nil
		default:
			return s.Journal.Waiting, nil
		}
		if !backoff.Sleep(ctx, statusEvery) {
			return 0, ctx.Err()
		}
	}
	return 0, errors.New("its status stays the same")
}

// stores reports whether the stream has an event of a prediction. The list has also what the
// view lacks.
func (a asker) stores(ctx context.Context, prediction, event string) (bool, error) {
	query := url.Values{"source": {a.source}, "prediction": {prediction}, "limit": {page}}
	var list adminapi.EventList
	_, err := a.get(ctx, &list, query, "events")
	return slices.ContainsFunc(list.Events, func(e adminapi.Event) bool { return e.ID == event }), err
}
