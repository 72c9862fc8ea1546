package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// An id alone names a prediction where one source has it, or where there is one source; otherwise
// the error says what to type. Ids that only begin alike are others.
func TestWhichPrediction(t *testing.T) {
	t.Parallel()
	var asked string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/api/v1")
		var answer any
		switch {
		case path == "/predictions":
			list := adminapi.PredictionList{Predictions: []adminapi.Prediction{}}
			if q := r.URL.Query(); q.Get("cursor") == "" {
				list.Next = "more"
				list.Predictions = append(list.Predictions, adminapi.Prediction{Source: "third", ID: "only_1"}, adminapi.Prediction{Source: "first", ID: "both"})
			} else {
				list.Predictions = append(list.Predictions, adminapi.Prediction{Source: "second", ID: "both"}, adminapi.Prediction{Source: "second", ID: "only"}, adminapi.Prediction{Source: "second", ID: `a"\`})
			}
			answer = list
		case path == "/view":
			answer = adminapi.ViewStatus{Sources: map[string]adminapi.SourceStatus{"first": {}, "second": {}}}
		case path == "/erase":
			var call adminapi.EraseCall
			_ = json.NewDecoder(r.Body).Decode(&call)
			asked, answer = call.Source+" "+call.Prediction, adminapi.EraseReport{Complete: true}
		case strings.HasPrefix(path, "/predictions/"):
			asked, answer = strings.TrimSuffix(strings.TrimPrefix(path, "/predictions/"), "/timeline"), bridge.PredictionState{Source: "s", Status: bridge.StatusCompleted}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer api.Close()
	for _, verb := range []string{"predictions show", "predictions await", "erase --yes"} {
		for args, want := range map[string]string{"only": "second only", `a"\`: `second a"\`, "both --source first": "first both", "unknown --source x": "x unknown"} {
			asked = ""
			_, _, stderr := runVerb(append(strings.Fields(verb+" "+args), "--api", api.URL)...)
			require.Equal(t, want, strings.Replace(asked, "/", " ", 1), "%s %s: %s", verb, args, stderr)
		}
		for id, says := range map[string]string{
			"both": `several sources have a prediction "both": name one with --source first or --source second`,
			"new":  `the view does not know "new", and there is not one source alone: name one with --source first or --source second`,
		} {
			asked = ""
			code, _, stderr := runVerb(append(strings.Fields(verb+" "+id), "--api", api.URL)...)
			require.Equal(t, 2, code, stderr)
			require.Contains(t, stderr, says)
			require.Empty(t, asked, "nothing is done")
		}
	}
}
