package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var consumerActs = map[string]act{
	"/consumers/{name}/pause":  pauseConsumer,
	"/consumers/{name}/resume": resumeConsumer,
	"/consumers/{name}/seek":   seekConsumer,
	"/consumers/{name}/remove": removeConsumer,
}

// wrong is the answer to a form that a person filled in so that nobody knows what is meant.
func wrong(format string, args ...any) error {
	return &problem{Status: http.StatusBadRequest, Title: fmt.Sprintf(format, args...)}
}

func consumerPath(name string) string { return "/consumers/" + url.PathEscape(name) }

// pauseConsumer pauses for the minutes of the form; without them, until somebody resumes it.
func pauseConsumer(v *visit) (d done, err error) {
	var call adminapi.PauseCall
	if text := v.request.PostFormValue("minutes"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 || minutes > 365*24*60 {
			return d, wrong("A pause has a whole number of minutes, at most a year.")
		}
		call.Until = v.now.Add(time.Duration(minutes) * time.Minute).UTC().Truncate(time.Second)
	}
	name := v.param("name")
	_, err = tell[adminapi.ConsumerState](v, consumerPath(name)+"/pause", call)
	return done{to: consumerPath(name)}, err
}

func resumeConsumer(v *visit) (done, error) {
	name := v.param("name")
	_, err := tell[adminapi.ConsumerState](v, consumerPath(name)+"/resume", struct{}{})
	return done{to: v.back(consumerPath(name))}, err
}

// seekData is what a seek would do.
type seekData struct {
	adminapi.ConsumerSeek

	Name string
}

// PageTitle returns what is asked.
func (d seekData) PageTitle() string { return "Move " + d.Name }

// Back is how many events the consumer is given again at most, Skipped how many it is not given.
func (d seekData) Back() uint64    { return d.From - min(d.To, d.From) }
func (d seekData) Skipped() uint64 { return d.To - min(d.To, d.From) }

// seekConsumer shows what the seek would do; the form of that page names the sequence that it
// showed, and does it.
func seekConsumer(v *visit) (d done, err error) {
	name := v.param("name")
	call := adminapi.SeekCall{DryRun: v.request.PostFormValue("sure") != "yes"}
	if call.ConsumerPosition, err = position(v); err != nil {
		return d, err
	}
	sought, err := tell[adminapi.ConsumerSeek](v, consumerPath(name)+"/seek", call)
	if err != nil || !call.DryRun {
		return done{to: consumerPath(name)}, err
	}
	return done{page: page{template: "consumer-seek", rail: "consumers"}, data: seekData{sought, name}}, nil
}

// position reads where a consumer is to go.
func position(v *visit) (p adminapi.ConsumerPosition, err error) {
	switch v.request.PostFormValue("to") {
	case "first":
		p.First = true
	case "new":
		p.New = true
	case "since":
		p.Since, err = moment(v.request.PostFormValue("at"), v.now)
	case "seq":
		text := strings.NewReplacer(",", "", " ", "").Replace(v.request.PostFormValue("at"))
		if p.Sequence, err = strconv.ParseUint(text, 10, 63); err != nil || p.Sequence == 0 {
			err = wrong("The number of an event is a whole number from 1 on, as the list of events shows it.")
		}
	default:
		err = wrong("Say where the consumer is to go on.")
	}
	return p, err
}

// moment reads a time, or how long ago it was, such as 90m, 2h or 3d.
func moment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 12)
		ago = time.Duration(n) * 24 * time.Hour //nolint:gosec // twelve bits
	}
	if err != nil || ago <= 0 {
		return now, wrong("A time is one such as 2026-01-31T15:04:05Z, or how long ago it was, such as 90m, 2h or 3d.")
	}
	return now.Add(-ago).UTC(), nil
}

// removeData is what would be removed.
type removeData struct {
	adminapi.RemovedConsumer

	Name string
}

// PageTitle returns what is asked.
func (d removeData) PageTitle() string { return "Remove " + d.Name }

func removeConsumer(v *visit) (done, error) {
	name := v.param("name")
	call := adminapi.RemoveCall{DryRun: v.request.PostFormValue("sure") != "yes"}
	removed, err := tell[adminapi.RemovedConsumer](v, consumerPath(name)+"/remove", call)
	if err != nil || !call.DryRun {
		return done{to: "/consumers"}, err
	}
	return done{page: page{template: "consumer-remove", rail: "consumers"}, data: removeData{removed, name}}, nil
}
