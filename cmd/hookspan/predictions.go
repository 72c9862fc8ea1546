package main

import (
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type predictionsCmd struct {
	List   predictionsListCmd   `cmd:"" help:"List them, the one that became known last first."`
	Show   predictionsShowCmd   `cmd:"" help:"Show what is known of one of them."`
	Watch  predictionsWatchCmd  `cmd:"" help:"Announce one that was submitted elsewhere: its end becomes known also when its webhook does not come."`
	Poll   predictionsPollCmd   `cmd:"" help:"Ask the provider for one now. If it has ended there, its end becomes an event."`
	Await  predictionsAwaitCmd  `cmd:"" help:"Wait for the end of one, and print its outputs."`
	Submit predictionsSubmitCmd `cmd:"" help:"Submit one to the provider, with the bridge's own webhook address."`
}

type predictionsListCmd struct {
	apiFlag
	watchFlag
	Search string    `placeholder:"TEXT" help:"Only those that match all of its terms, such as \"model:google/* consumer:billing=failing since:2h\"; the documentation of predictions has them all."`
	Source name      `placeholder:"NAME" help:"Only of this source."`
	Status name      `placeholder:"WORD" help:"Only of this status."`
	Model  string    `placeholder:"GLOB" help:"Only of these models, such as google/*."`
	Ref    string    `placeholder:"TEXT" help:"Only those that were announced with this reference."`
	Tenant string    `placeholder:"TEXT" help:"Only those that were announced for this tenant."`
	Since  time.Time `placeholder:"TIME" format:"2006-01-02T15:04:05Z07:00" help:"Only those that became known since."`
	Open   bool      `help:"Only those whose end is still waited for."`
	Limit  int       `default:"100" help:"At most so many, 1 to 1000."`
	Cursor string    `placeholder:"TEXT" help:"What follows a list that was too long."`
}

// Run lists the prediction first that became known last.
func (c *predictionsListCmd) Run(e *env) error {
	query := map[string]string{
		"source": string(c.Source), "status": string(c.Status), "model": c.Model, "reference": c.Ref, "tenant": c.Tenant,
		"q":     c.Search,
		"limit": strconv.Itoa(c.Limit), "cursor": c.Cursor,
	}
	if c.Open {
		query["open"] = "true"
	}
	if !c.Since.IsZero() {
		query["since"] = c.Since.Format(time.RFC3339)
	}
	var list adminapi.PredictionList
	if err := c.get(e, apiRoute("predictions"), query, &list); err != nil {
		return err
	}
	if len(list.Predictions) == 0 {
		if err := c.known(e, naming{sources: oneName(c.Source), statuses: oneName(c.Status)}); err != nil {
			return err
		}
	}
	return e.print(list, func(out *printer) {
		t := newTable("FIRST SEEN", "SOURCE", "STATUS", "OUTPUTS", "PREDICTION", "MODEL", "REFERENCE")
		for _, p := range list.Predictions {
			t.row(p.FirstSeen.Format(time.RFC3339), p.Source, orDash(p.Status), custody(p), p.ID, orDash(p.Model), orDash(p.Reference))
		}
		t.print(out)
		out.following(adminapi.Listed{Next: list.Next}, len(list.Predictions) == 0)
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
