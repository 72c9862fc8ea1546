package main

import (
	"cmp"
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
	if c.Tenant != "" {
		return c.ofTenant(e)
	}
	p := predictionFlags{ID: c.ID, Source: c.Source}
	if err := c.which(e, &p); err != nil {
		return err
	}
	c.Source = p.Source
	c.timeout = eraseTimeout
	if !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			return fmt.Sprintf("Erase prediction %s of source %s for good, everywhere?", c.ID, c.Source), nil
		})
		if err != nil {
			return err
		}
	}
	var done adminapi.EraseReport
	if err := c.call(e, http.MethodPost, apiRoute("erase"), adminapi.EraseCall{Source: c.Source, Prediction: c.ID, DryRun: c.DryRun}, &done); err != nil {
		return fmt.Errorf("%w (to repeat the verb is safe)", err)
	}
	err := e.print(done, func(out *printer) { printErased(out, done) })
	if err == nil && !done.Complete {
		err = errors.New("not everything could be erased, or was looked at: see the errors, then run it again")
	}
	return err
}

// ofTenant has a job erase what is of the tenant.
func (c *eraseCmd) ofTenant(e *env) error {
	begin := func(dryRun bool, out any) error {
		call := struct {
			jobFields
			adminapi.EraseTenant
		}{jobFields{Kind: adminapi.JobErase, DryRun: dryRun}, adminapi.EraseTenant{Tenant: string(c.Tenant)}}
		return c.call(e, http.MethodPost, apiRoute("jobs"), call, out)
	}
	var plan adminapi.JobPlan
	plans := func() error { return begin(true, &plan) }
	if c.DryRun {
		if err := plans(); err != nil {
			return err
		}
		return e.print(plan, func(out *printer) { out.printf("%s would be erased\n", counted(plan.Count, "prediction")) })
	}
	err := c.confirm(e, func() (string, error) {
		err := plans()
		return fmt.Sprintf("Erase %s of tenant %s for good, everywhere?", counted(plan.Count, "prediction"), c.Tenant), err
	})
	if err != nil {
		return err
	}
	var job adminapi.Job
	if err := begin(false, &job); err != nil {
		return err
	}
	if job, err = c.follow(e, job.ID); err != nil {
		return err
	}
	err = e.print(job, func(out *printer) {
		out.printf("%s erased\n", counted(job.Outcomes[adminapi.OutcomeErased], "prediction"))
		if job.State == adminapi.JobDone {
			out.printf("A search found nothing of them. Not reached: backups, and what consumers and other programs have copied.\n")
		}
	})
	if err == nil && job.State != adminapi.JobDone {
		err = fmt.Errorf("job %s is %s: %s", job.ID, job.State, cmp.Or(job.Error, "run it again to erase the rest"))
	}
	return err
}

func printErased(out *printer, done adminapi.EraseReport) {
	word := map[bool]string{false: "erased", true: "would be erased"}[done.DryRun]
	out.printf("%s %s\n", counted(done.Predictions, "prediction"), word)
	there := 0
	for _, p := range done.Places {
		there += p.Count
		out.printf("  %d in %s\n", p.Count, p.Place)
		if p.Left > 0 {
			out.printf("    %d are still there\n", p.Left)
		}
		if p.Error != "" {
			out.printf("    %s\n", p.Error)
		}
	}
	if done.DryRun && done.Complete && there == 0 {
		out.printf("Nothing of it is in these places.\n")
	}
	if !done.DryRun && done.Complete {
		out.printf("A search found nothing of them in these places.\n")
	}
	out.printf("Not reached: %s.\n", strings.Join(done.Beyond, "; "))
}
