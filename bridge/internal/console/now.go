package console

import (
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var nowPages = map[string]page{
	"/{$}": {template: "now", title: "Now", live: true, load: now},
}

// nowData is the start page: how the bridge does, and what needs somebody.
type nowData struct {
	Status    adminapi.Status
	Consumers []adminapi.ConsumerState
	// ConsumersProblem is why there are no consumers.
	ConsumersProblem error
}

// Empty reports whether the bridge has never seen a prediction.
func (d nowData) Empty() bool {
	return d.Status.Predictions.Expected == 0 && d.Status.Predictions.Open == 0
}

func now(v *visit) (any, error) {
	var d nowData
	var g errgroup.Group
	g.Go(func() (err error) { d.Status, err = ask[adminapi.Status](v, "/status", nil); return err })
	g.Go(func() error {
		list, err := ask[adminapi.ConsumerList](v, "/consumers", nil)
		d.Consumers, d.ConsumersProblem = list.Consumers, err
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if d.Empty() && isFirstRun(v) {
		return nil, elsewhere("/first-run")
	}
	return d, nil
}

// Rate is how many events were accepted in the last whole minute.
func (d nowData) Rate() int64 {
	n := len(d.Status.AcceptedPerMinute)
	if n < 2 {
		return 0
	}
	return d.Status.AcceptedPerMinute[n-2]
}
