package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// withheld is what keeps deliveries that did not become an event, and what looks
// at them again.
type keptDeliveries struct {
	quarantine *quarantine.Quarantine
	refused    *quarantine.Refused // it writes while it runs
}

func newKeptDeliveries(s *store) keptDeliveries {
	return keptDeliveries{
		quarantine: quarantine.NewQuarantine(s.events(), s.cfg.Names, s.alarms),
		refused:    quarantine.NewRefused(s.publisher, s.cfg.Names, s.alarms, s.log.Named("refused")),
	}
}

// deps is where the ingress puts what comes.
func (s *store) deps(w keptDeliveries) ingress.Deps {
	return ingress.Deps{Publisher: s.events(), Quarantine: w.quarantine, Refused: w.refused, Alarms: s.alarms}
}

func (w keptDeliveries) collectors() []prometheus.Collector {
	return append(w.quarantine.Collectors(), w.refused.Collectors()...)
}

// entries are what the API offers of them.
type entries struct {
	*quarantine.KeptStore
	*quarantine.Reverifier
	in  *ingress.Server // nil: this process takes no webhooks
	log *zap.Logger
}

var _ admin.Quarantine = entries{}

// entries are verified again with the sources of in as they are then.
func (s *store) entries(in *ingress.Server) entries {
	kept := quarantine.NewKeptStore(s.consume, s.cfg.Names)
	sources := func(name string) *source.Source { return in.Source(name) }
	return entries{kept, quarantine.New(kept, s.events(), sources), in, s.log.Named("quarantine")}
}

// Reverify needs the secrets, which only a process with the role ingress reads.
func (e entries) Reverify(ctx context.Context, sel adminapi.KeptSelection, o adminapi.ReverifyOptions) adminapi.KeptReport {
	if e.in == nil {
		return noSecrets(o.DryRun)
	}
	return e.Reverifier.Reverify(ctx, sel, o)
}

// Accept needs the secrets too. Each entry that becomes an event is a line of the log.
func (e entries) Accept(ctx context.Context, sel adminapi.KeptSelection, o adminapi.AcceptOptions) adminapi.KeptReport {
	if e.in == nil {
		return noSecrets(o.DryRun)
	}
	o.Accepted = func(w adminapi.KeptEntry, event *bridge.Event) {
		e.log.Info("a quarantined delivery was accepted as an event", zap.Uint64("seq", w.Sequence), zap.String("source", w.Source),
			zap.String("cause", w.Cause), zap.String("event", event.ID), zap.String("by", o.By), zap.String("reason", o.Reason), zap.String("from", o.From))
	}
	return e.Reverifier.Accept(ctx, sel, o)
}

func noSecrets(dryRun bool) adminapi.KeptReport {
	return adminapi.KeptReport{DryRun: dryRun, Remaining: map[string]int{}, Stopped: "this process has no role ingress, and so no secrets: ask one that has it"}
}
