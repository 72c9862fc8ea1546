package main

import (
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type alarmsCmd struct {
	apiFlag
	Kind   name `placeholder:"WORD" help:"Only of this kind."`
	Active bool `help:"Only those that are active, the last one of each kind and subject."`
	pageFlags
}

func (c *alarmsCmd) Run(e *env) error {
	var list adminapi.AlarmList
	query := map[string]string{"kind": string(c.Kind)}
	if c.Active {
		query["active"] = "true"
	}
	return c.list(e, &c.apiFlag, apiRoute("alarms"), query, naming{}, &list, func() (*table, adminapi.Listed) {
		t := newTable("RAISED", "ACTIVE", "KIND", "SUBJECT", "TEXT")
		for _, a := range list.Alarms {
			active := "-"
			if a.Cleared {
				active = "over"
			}
			if a.Active {
				active = "since " + a.Since.Format(time.RFC3339)
			}
			t.row(a.Time.Format(time.RFC3339), active, a.Kind, orDash(a.Subject), a.Text)
		}
		return t, list.Listed
	})
}
