package main

import (
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

type deadGroupsCmd struct {
	apiFlag
	Consumer name `placeholder:"NAME" help:"Only of this consumer."`
	Cause    name `placeholder:"WORD" help:"Only of this cause."`
	pageFlags
}

func (c *deadGroupsCmd) Run(e *env) error {
	var list adminapi.DeadGroupList
	query := map[string]string{"consumer": string(c.Consumer), "cause": string(c.Cause)}
	return c.list(e, &c.apiFlag, apiRoute("dead", "groups"), query, naming{consumer: c.Consumer, cause: c.Cause, causes: deadCauses}, &list, func() (*table, adminapi.Listed) {
		t := newTable("GROUP", "COUNT", "FIRST", "LAST", "CONSUMER", "CAUSE", "SAMPLE", "ERROR")
		for _, g := range list.Groups {
			t.row(g.ID, g.Count, g.FirstAt.Format(time.RFC3339), g.LastAt.Format(time.RFC3339), g.Consumer, g.Cause, g.Sample, orDash(g.Error))
		}
		return t, list.Listed
	})
}
