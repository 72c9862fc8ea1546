package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/reverify"
	"github.com/hookspan/hookspan/bridge/source"
)

// withheld is what keeps deliveries that did not become an event, and what looks
// at them again.
type withheld struct {
	quarantine *queue.Quarantine
	refused    *queue.Refused // it writes while it runs
}

func newWithheld(s *store) withheld {
	return withheld{
		quarantine: queue.NewQuarantine(s.events(), s.cfg.Names, s.alarms),
		refused:    queue.NewRefused(s.publisher, s.cfg.Names, s.alarms, s.log.Named("refused")),
	}
}

// deps is where the ingress puts what comes.
func (s *store) deps(w withheld) ingress.Deps {
	return ingress.Deps{Publisher: s.events(), Quarantine: w.quarantine, Refused: w.refused, Alarms: s.alarms}
}

func (w withheld) collectors() []prometheus.Collector {
	return append(w.quarantine.Collectors(), w.refused.Collectors()...)
}

// entries are what the API offers of them.
type entries struct {
	*queue.WithheldStore
	*reverify.Reverifier
	in *ingress.Server // nil: this process takes no webhooks
}

var _ admin.Quarantine = entries{}

// entries are verified again with the sources of in as they are then.
func (s *store) entries(in *ingress.Server) entries {
	kept := queue.NewWithheldStore(s.consume, s.cfg.Names)
	sources := func(name string) *source.Source { return in.Source(name) }
	return entries{kept, reverify.New(kept, s.events(), sources), in}
}

// Reverify needs the secrets, which only a process with the role ingress reads.
func (e entries) Reverify(ctx context.Context, sel bridge.WithheldSelection, o bridge.ReverifyOptions) bridge.WithheldReport {
	if e.in == nil {
		return bridge.WithheldReport{DryRun: o.DryRun, Remaining: map[string]int{}, Stopped: "this process has no role ingress, and so no secrets: ask one that has it"}
	}
	return e.Reverifier.Reverify(ctx, sel, o)
}
