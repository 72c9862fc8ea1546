package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// eraseTimeout is more than the bridge takes for one call.
const eraseTimeout = 11 * time.Minute

type eraseCmd struct {
	apiFlag
	ID     string `arg:"" optional:"" help:"The prediction's id, as the provider wrote it."`
	Source string `placeholder:"NAME" help:"The source that it is of; only needed when several have one of this id."`
	Tenant name   `placeholder:"NAME" help:"All predictions of this tenant, and the deliveries that name it."`
	yesFlag
	DryRun bool `help:"Change nothing, say what would be erased."`
}

// Validate is called by kong.
func (c eraseCmd) Validate() error {
	if (c.Tenant == "") == (c.ID == "") || c.Tenant != "" && c.Source != "" {
		return errors.New("name the ID of a prediction, with --source when several sources have it, or --tenant")
	}
	return nil
}

func (c *eraseCmd) Run(e *env) error {
	if c.Tenant == "" {
		p := predictionFlags{ID: c.ID, Source: c.Source}
		if err := c.which(e, &p); err != nil {
			return err
		}
		c.Source = p.Source
	}
	c.timeout = eraseTimeout
	if !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			var would adminapi.EraseReport
			err := c.call(e, http.MethodPost, apiRoute("erase"), c.body(true), &would)
			return c.prompt(would), err
		})
		if err != nil {
			return err
		}
	}
	var sum adminapi.EraseReport
	for more := true; more; {
		var next adminapi.EraseReport
		if err := c.call(e, http.MethodPost, apiRoute("erase"), c.body(c.DryRun), &next); err != nil {
			return fmt.Errorf("%w (%d predictions were erased before; to repeat the verb is safe)", err, sum.Predictions)
		}
		sum.Add(next)
		more = next.More && next.Complete && !next.DryRun
	}
	err := e.print(sum, func(out *printer) { printErased(out, sum) })
	if err == nil && !sum.Complete {
		err = errors.New("not everything could be erased, or was looked at: see the errors, then run it again")
	}
	return err
}

func (c *eraseCmd) body(dryRun bool) adminapi.EraseCall {
	return adminapi.EraseCall{Source: c.Source, Prediction: c.ID, Tenant: string(c.Tenant), DryRun: dryRun}
}

func (c *eraseCmd) prompt(would adminapi.EraseReport) string {
	if c.Tenant == "" {
		return fmt.Sprintf("Erase prediction %s of source %s for good, everywhere?", c.ID, c.Source)
	}
	more := ""
	if would.More {
		more = " or more"
	}
	return fmt.Sprintf("Erase %d%s predictions of tenant %s for good, everywhere?", would.Predictions, more, c.Tenant)
}

func printErased(out *printer, done adminapi.EraseReport) {
	word := map[bool]string{false: "erased", true: "would be erased"}[done.DryRun]
	out.printf("%d predictions %s\n", done.Predictions, word)
	for _, p := range done.Places {
		out.printf("  %d in %s\n", p.Count, p.Place)
		if p.Left > 0 {
			out.printf("    %d are still there\n", p.Left)
		}
		if p.Error != "" {
			out.printf("    %s\n", p.Error)
		}
	}
	if done.DryRun && done.More {
		out.printf("The tenant has more predictions than were counted.\n")
	}
	if !done.DryRun && done.Complete {
		out.printf("A search found nothing of them in these places.\n")
	}
	out.printf("Not reached: %s.\n", strings.Join(done.Beyond, "; "))
}
