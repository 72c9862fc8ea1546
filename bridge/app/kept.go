package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type keptDeliveries struct {
	quarantine  *quarantine.Quarantine
	unconfirmed *quarantine.Unconfirmed
	refused     *quarantine.Refused // writes while its Run runs
}

func newKeptDeliveries(s *store) keptDeliveries {
	return keptDeliveries{
		quarantine:  quarantine.NewQuarantine(s.keep(), s.cfg.Names(), s.alarms),
		unconfirmed: quarantine.NewUnconfirmed(s.keep(), s.cfg.Names()),
		refused:     quarantine.NewRefused(erase.BlockGate{Blocks: s.publisher, Registry: s.erased}, s.cfg.Names(), s.alarms, s.log.Named("refused")),
	}
}

func (k keptDeliveries) collectors() []prometheus.Collector {
	return append(k.quarantine.Collectors(), k.refused.Collectors()...)
}

// keptEntries is the kept deliveries as the API calls them.
type keptEntries struct {
	*quarantine.KeptStore
	*quarantine.Reverifier
	in  *ingress.Server // nil: this process takes no webhooks
	log *zap.Logger
}

// keptEntries verifies again with the current sources of the ingress.
func (a *App) keptEntries() keptEntries {
	kept := quarantine.NewKeptStore(a.store.consume, a.cfg.Names())
	sources := func(name string) *source.Source { return a.ingress.Source(name) }
	return keptEntries{kept, quarantine.New(kept, a.store.keep(), sources), a.ingress, a.log.Named("quarantine")}
}

// Reverify needs the secrets, which only a process with the role ingress has.
func (e keptEntries) Reverify(ctx context.Context, sel adminapi.KeptSelection, o adminapi.ReverifyOptions) adminapi.KeptReport {
	if e.in == nil {
		return noSecrets(o.DryRun)
	}
	return e.Reverifier.Reverify(ctx, sel, o)
}

// Accept needs the secrets too. It logs each entry that becomes an event.
func (e keptEntries) Accept(ctx context.Context, sel adminapi.KeptSelection, o adminapi.AcceptOptions) adminapi.KeptReport {
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

// KeptCauses returns every cause for which a delivery is quarantined or refused.
func KeptCauses() []string {
	var causes []string
	for _, cause := range []source.Cause{
		source.CauseEncoding, source.CauseSyntax, source.CauseDuplicateKey, source.CauseDepth,
		source.CauseNoID, source.CauseNoStatus, source.CauseTooLong, source.CauseStale,
		source.CauseNoSecret, source.CauseNoSignature, source.CauseSeveralSignatures, source.CauseWrongLength, source.CauseNotHex,
		source.CauseLooksBase64, source.CauseSignaturePrefix, source.CauseSecretSpace, source.CauseSecretPrefix, source.CauseSecretEncoded,
		source.CauseRetiredSecret, source.CauseBodyChanged, source.CauseNoTime, source.CauseTimeOutside, source.CauseWrongSignature,
	} {
		causes = append(causes, string(cause))
	}
	return append(causes, bridge.CausePathToken, bridge.CauseUnconfirmed, "too_large", "not_authentic")
}
