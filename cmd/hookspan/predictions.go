package main

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type predictionsCmd struct {
	List    predictionsListCmd    `cmd:"" help:"List those that the prediction store knows, the one that was changed last first."`
	Show    predictionsShowCmd    `cmd:"" help:"Show what is known of one of them."`
	Watch   predictionsWatchCmd   `cmd:"" help:"Announce one that was submitted elsewhere: its end becomes known also when its webhook does not come."`
	Await   predictionsAwaitCmd   `cmd:"" help:"Wait for the end of one, and print its outputs."`
	Submit  predictionsSubmitCmd  `cmd:"" help:"Submit one to the provider, with the bridge's own webhook address."`
	Status  predictionsStatusCmd  `cmd:"" help:"Show how the prediction store stands, and what is overdue."`
	Rebuild predictionsRebuildCmd `cmd:"" help:"Have the prediction store folded again from the stored events."`
}

type predictionFlags struct {
	ID     string `arg:"" help:"The prediction's id, as the provider wrote it."`
	Source string `default:"get3w" placeholder:"NAME" help:"The source that it is of."`
}

type predictionsListCmd struct {
	apiFlag
	Source name   `placeholder:"NAME" help:"Only of this source."`
	Status name   `placeholder:"WORD" help:"Only of this status."`
	Open   string `enum:"true,false," default:"" placeholder:"true|false" help:"Only those whose end is still waited for, or only the others."`
	pageFlags
}

// Run lists the prediction first that changed last.
func (c *predictionsListCmd) Run(e *env) error {
	var list adminapi.PredictionList
	query := map[string]string{"source": string(c.Source), "status": string(c.Status), "open": c.Open}
	return c.list(e, &c.apiFlag, "predictions", query, naming{sources: oneName(c.Source), statuses: oneName(c.Status)}, &list, func() (*table, adminapi.Listed) {
		t := newTable("PLACE", "FIRST SEEN", "SOURCE", "STATUS", "OUTPUTS", "PREDICTION", "MODEL")
		for _, p := range list.Predictions {
			t.row(p.Place, p.FirstSeen.Format(time.RFC3339), p.Source, orDash(p.Status), custody(p), p.ID, orDash(p.Model))
		}
		return t, list.Listed
	})
}

func custody(p adminapi.Prediction) string {
	switch {
	case p.Lost != "":
		return "given up: " + string(p.Lost)
	case p.Open:
		return "open"
	case p.Conflict:
		return "ended twice, in different ways"
	}
	return strconv.Itoa(p.Stored) + " of " + strconv.Itoa(p.Outputs) + " outputs stored"
}

type predictionsStatusCmd struct {
	apiFlag
}

func (c *predictionsStatusCmd) Run(e *env) error {
	var s adminapi.PredictionsStatus
	if err := c.get(e, apiRoute("predictions", "status"), nil, &s); err != nil {
		return err
	}
	return e.print(s, func(out *printer) {
		for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
			out.printf("%s: %s\n", name, sourceStanding(s.Sources[name], time.Now()))
		}
		rebuilding := ""
		if s.Rebuilding {
			rebuilding = "being rebuilt, "
		}
		out.printf("prediction store: %sfolded to %d of %d, led by %s, %s\n", rebuilding, s.Folded, s.Last, s.Leader, s.UpdatedAt.Format(time.RFC3339))
	})
}

func sourceStanding(s adminapi.SourceStatus, now time.Time) string {
	words := []string{strconv.Itoa(s.Open) + " open"}
	if s.Overdue > 0 {
		words = append(words, strconv.Itoa(s.Overdue)+" overdue", "the oldest seen "+s.Oldest.Format(time.RFC3339))
	}
	text := strings.Join(words, ", ")
	if !s.LastWebhook.IsZero() {
		text += "; last webhook " + s.LastWebhook.Format(time.RFC3339)
	}
	if s.PolledSince > 0 {
		text += ", " + strconv.Itoa(s.PolledSince) + " ended by polling since"
	}
	switch {
	case !s.Polled:
		text += "; not polled: sources.<name>.api has no key"
	case s.PausedUntil.After(now):
		text += "; not polled until " + s.PausedUntil.Format(time.RFC3339) + ": the provider wants it so, or does not answer as it should"
	}
	return text
}

type predictionsRebuildCmd struct {
	apiFlag
}

func (c *predictionsRebuildCmd) Run(e *env) error {
	var answer adminapi.Rebuilding
	if err := c.call(e, http.MethodPost, apiRoute("predictions", "rebuild"), struct{}{}, &answer); err != nil {
		return err
	}
	return e.print(answer, func(out *printer) {
		out.printf("the prediction store is removed and folded again from the first stored event; in some seconds hookspan predictions status says how far that is\n")
	})
}
