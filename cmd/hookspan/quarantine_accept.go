package main

import (
	"fmt"
	"net/http"
	"os"
	"os/user"
	"slices"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type quarantineAcceptCmd struct {
	apiFlag
	Seqs   []uint64 `arg:"" name:"id" help:"Numbers of entries in quarantine, as the list shows them."`
	DryRun bool     `help:"Change nothing, say what would happen."`
	Reason string   `placeholder:"TEXT" help:"Why, for the log of the bridge."`
}

func (c *quarantineAcceptCmd) Run(e *env) error {
	slices.Sort(c.Seqs)
	c.Seqs = slices.Compact(c.Seqs)
	call := adminapi.AcceptCall{Seqs: c.Seqs, DryRun: c.DryRun, By: operator(), Reason: c.Reason}
	var report adminapi.KeptReport
	if err := c.call(e, http.MethodPost, apiRoute("quarantine", "accept"), call, &report); err != nil {
		return err
	}
	if report.LookedAt == 0 && report.Stopped == "" {
		return fmt.Errorf("the entries %d are not in quarantine: hookspan quarantine list shows those that are", c.Seqs)
	}
	return printReport(e, report, func(out *printer) {
		printEvents(out, report)
		if gone := len(c.Seqs) - report.LookedAt; gone > 0 && report.Stopped == "" {
			out.printf("  %d are not in quarantine\n", gone)
		}
	})
}

// operator is who runs the verb, as far as the machine knows.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return printable.Truncate(name, 128)
}
