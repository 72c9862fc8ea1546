package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// maxJobKey bounds an idempotency key, in bytes.
const maxJobKey = 128

// jobCalls checks the call of each kind of job, and returns it as an order.
var jobCalls = map[string]func(c echo.Context) (adminapi.JobOrder, error){
	adminapi.JobRedrive:  deadOrder,
	adminapi.JobDropDead: deadOrder,
	adminapi.JobReplay:   eventOrder,
	adminapi.JobReverify: keptOrder,
	adminapi.JobDropKept: keptOrder,
	adminapi.JobErase:    tenantOrder,
}

// readOrder reads the call of a job, by its kind.
func readOrder(c echo.Context) (o adminapi.JobOrder, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxCallBody))
	if err != nil {
		return o, badBody(err)
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return o, badRequest("the body is not the JSON object that this takes: %v", err)
	}
	read, ok := jobCalls[head.Kind]
	if !ok {
		return o, badRequest("kind is one of %s", strings.Join(slices.Sorted(maps.Keys(jobCalls)), ", "))
	}
	c.Request().Body = io.NopCloser(bytes.NewReader(body)) // now that the kind says how to read it
	if o, err = read(c); err != nil {
		return o, err
	}
	selects(c, o.Body)
	o.Rate, o.By = cmp.Or(o.Rate, adminapi.DefaultJobRate), callerOf(c.Request().Context()).name
	keys := c.Request().Header.Values("Idempotency-Key")
	o.Key = strings.Join(keys, "")
	switch {
	case !(o.Rate >= adminapi.MinJobRate && o.Rate <= adminapi.MaxJobRate):
		err = badRequest("rate is %v to %v entries a second, or 0 for %v", adminapi.MinJobRate, adminapi.MaxJobRate, adminapi.DefaultJobRate)
	case len(keys) > 1 || len(keys) == 1 && (o.Key == "" || len(o.Key) > maxJobKey):
		err = badRequest("Idempotency-Key is given once, and has 1 to %d bytes", maxJobKey)
	case o.Expect != nil && *o.Expect < 0:
		err = badRequest("expect is how many entries match")
	case !o.DryRun && o.Expect == nil && (o.Kind == adminapi.JobDropDead || o.Kind == adminapi.JobDropKept):
		err = badRequest("expect is missing: what is dropped is gone, so say how many match, as a dry run counts them")
	}
	return o, err
}

// newOrder returns the order of a call whose page is read and whose selection is checked by
// selects.
func newOrder[S any](head adminapi.JobCall, page *adminapi.Page, selects func() (S, error), call any) (o adminapi.JobOrder, err error) {
	if page.Limit != 0 {
		return o, badRequest("limit is for calls that look at some entries: a job takes all that match")
	}
	if _, err := selects(); err != nil {
		return o, err
	}
	page.Limit = 0 // of a call
	body, err := json.Marshal(call)
	return adminapi.JobOrder{JobCall: head, Body: body}, err
}

type deadJob struct {
	adminapi.JobCall
	adminapi.DeadCall

	// All selects the dead letters of every consumer.
	All bool `json:"all,omitempty"`
}

func deadOrder(c echo.Context) (o adminapi.JobOrder, err error) {
	var call deadJob
	if err := decodeCall(c, &call); err != nil {
		return o, err
	}
	switch {
	case call.All && (call.Consumer != "" || call.Group != "" || len(call.Seqs) > 0):
		return o, badRequest("all is for the dead letters of every consumer: leave it out, or consumer, group and seqs")
	case call.Kind == adminapi.JobDropDead && call.Handled:
		return o, badRequest("handled is for redrive")
	}
	o, err = newOrder(call.JobCall, &call.Page, func() (adminapi.DeadSelection, error) {
		if call.All {
			return adminapi.DeadSelection{}, nil
		}
		return deadSelection(&call.DeadCall)
	}, &call)
	o.Rate, o.DryRun = call.Rate, call.DryRun
	return o, err
}

type eventJob struct {
	adminapi.JobCall
	adminapi.EventCall
}

func eventOrder(c echo.Context) (o adminapi.JobOrder, err error) {
	var call eventJob
	if err := decodeCall(c, &call); err != nil {
		return o, err
	}
	switch {
	case call.Consumer == "":
		return o, errNoReader
	case len(call.Run) > maxRun:
		return o, errLongRun
	}
	o, err = newOrder(call.JobCall, &call.Page, func() (adminapi.EventSelection, error) { return eventSelection(&call.EventCall) }, &call)
	o.Rate, o.DryRun = call.Rate, call.DryRun
	return o, err
}

type keptJob struct {
	adminapi.JobCall
	adminapi.KeptCall

	Rate float64 `json:"rate,omitempty"`
}

func keptOrder(c echo.Context) (o adminapi.JobOrder, err error) {
	var call keptJob
	if err := decodeCall(c, &call); err != nil {
		return o, err
	}
	if call.Kind == adminapi.JobDropKept {
		if err := checkKeptDrop(&call.KeptCall); err != nil {
			return o, err
		}
	}
	o, err = newOrder(call.JobCall, &call.Page, func() (adminapi.KeptSelection, error) { return keptSelection(&call.KeptCall) }, &call)
	o.Rate, o.DryRun = call.Rate, call.DryRun
	return o, err
}

type tenantJob struct {
	adminapi.JobCall
	adminapi.EraseTenant

	Rate   float64 `json:"rate,omitempty"`
	DryRun bool    `json:"dry_run,omitempty"`
}

// tenantOrder returns an order that no longer has the name of the tenant.
func tenantOrder(c echo.Context) (o adminapi.JobOrder, err error) {
	var call tenantJob
	if err := decodeCall(c, &call); err != nil {
		return o, err
	}
	if call.Tenant == "" || len(call.Tenant) > bridge.MaxQueryValue {
		return o, badRequest("name a tenant, with at most %d bytes", bridge.MaxQueryValue)
	}
	call.Tenant = adminapi.HashedName("", call.Tenant)
	body, err := json.Marshal(call)
	return adminapi.JobOrder{JobCall: call.JobCall, Body: body, Rate: call.Rate, DryRun: call.DryRun}, err
}
