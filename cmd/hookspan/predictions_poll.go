package main

import (
	"net/http"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type predictionsPollCmd struct {
	apiFlag
	ID     string `arg:"" help:"The prediction's id, as the provider wrote it."`
	Source string `default:"get3w" placeholder:"NAME" help:"The source that it is of."`
}

// Run asks the provider once. An end that it tells becomes an event.
func (c *predictionsPollCmd) Run(e *env) error {
	var polled adminapi.Polled
	if err := c.call(e, http.MethodPost, apiRoute("poll"), adminapi.PollCall{Source: c.Source, Prediction: c.ID}, &polled); err != nil {
		return err
	}
	return e.print(polled, func(out *printer) {
		switch polled.Result {
		case adminapi.PollEnded:
			out.printf("%q of %s has ended, the provider says %q: %s, event %q\n", c.ID, c.Source, polled.Said, polled.Stored, polled.ID)
		case adminapi.PollOpen:
			out.printf("%q of %s has not ended, the provider says %q\n", c.ID, c.Source, polled.Said)
		case adminapi.PollNotFound:
			out.printf("the provider of %s does not know %q\n", c.Source, c.ID)
		}
	})
}
