package main

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type changed = func(asked *url.URL, text string) string

// edit decodes an answer into out, changes that, and encodes it.
func edit(out any, change func()) func(string) string {
	return func(text string) string {
		_ = json.Unmarshal([]byte(text), out)
		change()
		edited, _ := json.Marshal(out)
		return string(edited)
	}
}

// once changes the first answer about a path that has the part.
func once(part string, change func(string) string) changed {
	var done atomic.Bool
	return func(asked *url.URL, text string) string {
		if !strings.Contains(asked.Path, part) || done.Swap(true) {
			return text
		}
		return change(text)
	}
}

// always changes every answer about a path with the end.
func always(end string, change func(string) string) changed {
	return func(asked *url.URL, text string) string {
		if !strings.HasSuffix(asked.Path, end) {
			return text
		}
		return change(text)
	}
}

// Whatever the bridge gets wrong is found and named. The doors play a broken bridge.
func TestSimulateFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {enabled: false}, team: {kind: pull, start: all}}", 1))
	var event adminapi.EventDetail
	var list adminapi.PredictionList
	var line adminapi.Timeline
	var kept adminapi.KeptList
	const first = "000000"
	unlisted := always("/predictions", edit(&list, func() {
		list.Predictions = slices.DeleteFunc(list.Predictions, func(p adminapi.Prediction) bool { return strings.HasSuffix(p.ID, first) })
	}))
	unseen := func(asked *url.URL, text string) string {
		if strings.HasSuffix(asked.Path, first+"/timeline") {
			return `{"events":[]}`
		}
		return unlisted(asked, text)
	}
	hidden := func(asked *url.URL, text string) string {
		if strings.HasSuffix(asked.Path, "/events") && strings.HasSuffix(asked.Query().Get("prediction"), first) {
			return `{"events":[]}`
		}
		return unseen(asked, text)
	}
	forged := func(asked *url.URL, text string) string {
		if q := asked.Query().Get("q"); strings.HasSuffix(q, "forged_") {
			return edit(&list, func() { list.Predictions = []adminapi.Prediction{{ID: strings.TrimPrefix(q, "id:") + "3"}} })(text)
		}
		return text
	}
	for words, broken := range map[string]struct {
		args            []string
		webhooks, admin changed
	}{
		"another body":             {admin: once("/api/v1/events/", edit(&event, func() { event.Body = new(strings.Replace(*event.Body, `"prompt":"`, `"prompt":"x`, 1)) }))},
		"another signature":        {admin: once("/api/v1/events/", edit(&event, func() { event.Header["ce-signature"] = []string{"00"} }))},
		"cannot be read":           {admin: once("/api/v1/events/", edit(&event, func() { delete(event.Header, "ce-id") }))},
		"in the stream":            {admin: once("/api/v1/events/", edit(&event, func() { event.Header["ce-id"] = []string{"other/completed/1"} }))},
		"is failed for the bridge": {admin: always(first+"/timeline", edit(&line, func() { line.Prediction.Status = "failed" }))},
		"is there 2 times":         {admin: always(first+"/timeline", edit(&line, func() { line.Events = append(line.Events, line.Events[0]) }))},
		"and was not sent": {admin: always(first+"/timeline", edit(&line, func() {
			other := line.Events[0]
			other.ID += "x"
			line.Events = append(line.Events, other)
		}))},
		"how event":                  {admin: always(first+"/timeline", edit(&line, func() { line.Events[0].Lanes = nil }))},
		"and is not in the stream":   {args: []string{"--wait", "100ms"}, admin: hidden},
		"In the stream, but not in":  {args: []string{"--wait", "100ms"}, admin: unseen},
		"was forged, and is there":   {admin: forged},
		"is not in the quarantine":   {args: []string{"--break-every", "2"}, admin: always("/quarantine", edit(&kept, func() { kept.Entries = kept.Entries[:max(0, len(kept.Entries)-1)] }))},
		"did not say what became of": {args: []string{"--wait", "100ms"}, admin: always("/timeline", func(string) string { return "<html>" })},
		"with the event id":          {webhooks: once("/webhooks", func(text string) string { return strings.Replace(text, `"id":"`, `"id":"x`, 1) })},
		`was answered 200 "fine"`:    {webhooks: once("/webhooks", func(text string) string { return strings.Replace(text, "stored", "fine", 1) })},
	} {
		webhooks, admin := openDoor(t, p.url()), openDoor(t, p.ready.Admin)
		webhooks.change, admin.change = broken.webhooks, broken.admin
		args := append(append(through(webhooks, admin), "--count", "5", "--rate", "1000", "--status", "completed", "--wait", "5s"), broken.args...)
		s := startSimulation(t.Context(), t, args...)
		<-s.ended
		require.Equal(t, exitFailed, s.code, words)
		require.Contains(t, strings.Join(s.report.Wrong, "\n"), words)
		switch words {
		case "did not say what became of":
			require.Equal(t, 5, s.report.Unknown, "%+v", s.report)
		case "In the stream, but not in", "how event":
		default:
			require.Contains(t, strings.Join(s.report.Wrong, "\n"), s.report.Run, "%s: it is named", words)
			require.Equal(t, 1, s.report.Lost+s.report.Corrupt, "%s: %+v", words, s.report)
		}
	}
	require.Equal(t, 0, p.stop(), p.logs)
}
