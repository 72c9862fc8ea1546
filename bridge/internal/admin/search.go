package admin

import (
	"time"

	"github.com/hookspan/hookspan/bridge/internal/search"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// searched adds a search to a selection that parameters made: both must match.
func searched(sel adminapi.PredictionSelection, text string) (adminapi.PredictionSelection, error) {
	found, err := search.Parse(text, time.Now())
	if err != nil {
		return sel, badRequest("q: %v", err)
	}
	for _, both := range []struct {
		parameter  string
		have, from *string
	}{
		{"source", &sel.Source, &found.Source},
		{"status", &sel.Status, &found.Status},
		{"model", &sel.Model, &found.Model},
		{"reference", &sel.Reference, &found.Reference},
		{"tenant", &sel.Tenant, &found.Tenant},
	} {
		if *both.have != "" && *both.from != "" && *both.have != *both.from {
			return sel, badRequest("q and %s ask for two values: leave one out", both.parameter)
		}
		if *both.from != "" {
			*both.have = *both.from
		}
	}
	if found.Since.After(sel.Since) {
		sel.Since = found.Since
	}
	sel.IDPrefix, sel.Consumers, sel.Missing, sel.ExpiresBefore = found.IDPrefix, found.Consumers, found.Missing, found.ExpiresBefore
	return sel, nil
}
