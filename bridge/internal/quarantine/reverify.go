// Package quarantine keeps deliveries that did not become an event: authentic but unusable ones
// in a [Quarantine], which never drops any, and those that are not authentic in the ring
// [Refused]. [KeptStore] lists both. After an operator has repaired a secret, a [Reverifier]
// makes events of deliveries that are authentic and usable now. Package source judges
// deliveries.
package quarantine

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Store has the kept deliveries.
type Store interface {
	// Walk calls visit for every entry of the selection in order, and returns the first error
	// of visit. visit may remove its entry.
	Walk(ctx context.Context, sel adminapi.KeptSelection, visit func(adminapi.KeptEntry) error) error
	// Remove removes an entry. The error wraps [bridge.ErrNotFound] when it is gone.
	Remove(ctx context.Context, place string, seq uint64) error
	// Last returns the last sequence of a place.
	Last(ctx context.Context, place string) (uint64, error)
	// RemoveAll removes entries; those that are gone are no error.
	RemoveAll(ctx context.Context, place string, sequences []uint64) error
}

// Publisher makes events durable.
type Publisher interface {
	// Publish returns nil once the event is durable, or was already.
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// Reverifier makes events of kept deliveries, or drops them. It is safe for concurrent use.
type Reverifier struct {
	store     Store
	publisher Publisher
	sources   func(name string) *source.Source
}

// New returns a reverifier. sources returns the configured source of that name, or nil; it is
// called concurrently.
func New(store Store, publisher Publisher, sources func(name string) *source.Source) *Reverifier {
	return &Reverifier{store: store, publisher: publisher, sources: sources}
}

// Causes for an entry to stay that differ from the entry's own cause.
const (
	causeTruncated     = "truncated"      // a part of the delivery was not kept
	causeUnknownSource = "unknown_source" // the source is not configured any more
	causeTooLarge      = "too_large"      // the store rejects the event
	causeNotAuthentic  = "not_authentic"  // nothing proves the sender
)

var errLimit = errors.New("limit reached")

// Reverify verifies and reads the selected entries again, with the present secrets and the time
// of their first receipt. It publishes what is an event now, under the id that the event would
// have had, and removes the entry once the event is acknowledged. All other entries stay. An
// error of the store or the publisher ends the run early and is in the report; counted entries
// are done. Repeating a run is safe: within the duplicate window the stream stores an event
// once. Entries of cause [bridge.CausePathToken] stay unless the options accept them; truncated
// entries always stay.
func (r *Reverifier) Reverify(ctx context.Context, sel adminapi.KeptSelection, o adminapi.ReverifyOptions) adminapi.KeptReport {
	return r.walk(ctx, sel, o.DryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		event, cause := r.event(e, o)
		return r.publish(ctx, report, e, event, cause, o.DryRun, nil)
	})
}

// Accept makes events of selected quarantined entries that a person has examined and
// [Reverifier.Reverify] leaves there: those with exactly one possible reading, see
// [source.Source.AcceptLenient]. It verifies them with the present secrets, and never accepts
// entries of another place, whose sender is unproved. The rest is as for Reverify: an event has
// the same id each time.
func (r *Reverifier) Accept(ctx context.Context, sel adminapi.KeptSelection, o adminapi.AcceptOptions) adminapi.KeptReport {
	return r.walk(ctx, sel, o.DryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		event, cause := r.lenient(e)
		return r.publish(ctx, report, e, event, cause, o.DryRun, o.Accepted)
	})
}

// publish stores the event of an entry and removes the entry, or counts why the entry stays.
func (r *Reverifier) publish(ctx context.Context, report *adminapi.KeptReport, e *adminapi.KeptEntry, event *bridge.Event, cause string,
	dryRun bool, stored func(adminapi.KeptEntry, *bridge.Event),
) error {
	outcome, err := r.settle(ctx, event, cause, dryRun)
	switch {
	case err != nil:
		report.Remaining[e.Cause]++
		return err
	case outcome == adminapi.OutcomeEvents:
		report.Events++
	case outcome == adminapi.OutcomeDuplicates:
		report.Duplicates++
	default:
		report.Remaining[outcome]++
	}
	if dryRun || !becameEvent(outcome) {
		return nil
	}
	if stored != nil {
		stored(*e, event)
	}
	return r.remove(ctx, report, e)
}

func becameEvent(outcome string) bool {
	return outcome == adminapi.OutcomeEvents || outcome == adminapi.OutcomeDuplicates
}

// settle stores the event of an entry, unless there is none because of the cause, and returns
// the outcome.
func (r *Reverifier) settle(ctx context.Context, event *bridge.Event, cause string, dryRun bool) (string, error) {
	switch {
	case event == nil:
		return cause, nil
	case dryRun:
		return adminapi.OutcomeEvents, nil
	}
	receipt, err := r.publisher.Publish(ctx, event)
	switch {
	case errors.Is(err, bridge.ErrTooLarge):
		return causeTooLarge, nil
	case err != nil:
		return "", err
	case receipt.Result == bridge.Duplicate:
		return adminapi.OutcomeDuplicates, nil
	}
	return adminapi.OutcomeEvents, nil
}

// Drop removes the selected entries for good. A dry run counts them.
func (r *Reverifier) Drop(ctx context.Context, sel adminapi.KeptSelection, dryRun bool) adminapi.KeptReport {
	return r.walk(ctx, sel, dryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		if dryRun {
			report.Removed++
			return nil
		}
		return r.remove(ctx, report, e)
	})
}

// event returns the event of the entry, or the cause why there is none.
func (r *Reverifier) event(e *adminapi.KeptEntry, o adminapi.ReverifyOptions) (event *bridge.Event, cause string) {
	if e.Cause == bridge.CausePathToken && !o.AcceptPathToken {
		// This source also requires its path token.
		return nil, bridge.CausePathToken
	}
	return r.read(e, o.AcceptStale, (*source.Source).Accept, (*source.Source).Read)
}

// lenient is [Reverifier.event] for an entry that a person has examined.
func (r *Reverifier) lenient(e *adminapi.KeptEntry) (event *bridge.Event, cause string) {
	if e.Place != adminapi.PlaceQuarantine || e.Cause == bridge.CausePathToken {
		return nil, causeNotAuthentic
	}
	return r.read(e, true, (*source.Source).AcceptLenient, (*source.Source).ReadLenient)
}

// read reads an entry that accept verifies. Proved is for entries of the quarantine whose proof
// was the secret itself, which is not kept: what is there was authentic when it came.
func (r *Reverifier) read(e *adminapi.KeptEntry, anyAge bool, accept, proved func(*source.Source, source.Delivery) (*bridge.Event, error)) (event *bridge.Event, cause string) {
	src := r.sources(e.Source)
	if src != nil && e.Place == adminapi.PlaceQuarantine && source.IsPrivate(src.Kind().Proof) {
		accept = proved
	}
	switch {
	case e.Truncated:
		return nil, causeTruncated
	case src == nil:
		return nil, causeUnknownSource
	case src.Confirms():
		return nil, bridge.CauseUnconfirmed // the provider's answer counts alone
	}
	event, err := accept(src, source.Delivery{
		Proof:       maps.Clone(e.Proof),
		Body:        e.Body,
		ContentType: e.ContentType,
		Query:       e.Query,
		ReceivedAt:  e.ReceivedAt,
		Origin:      bridge.OriginWebhook,
		TraceParent: e.TraceParent,
		AnyAge:      anyAge,
	})
	if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
		return nil, string(unusable.Cause)
	}
	if err != nil {
		return nil, e.Cause // still not authentic
	}
	return event, ""
}

func (r *Reverifier) remove(ctx context.Context, report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
	err := r.store.Remove(ctx, e.Place, e.Sequence)
	if errors.Is(err, bridge.ErrNotFound) {
		return nil // another process removed it, or the ring did
	}
	if err == nil {
		report.Removed++
	}
	return err
}

// walk counts the selected entries and visits each.
func (r *Reverifier) walk(ctx context.Context, sel adminapi.KeptSelection, dryRun bool, visit func(*adminapi.KeptReport, *adminapi.KeptEntry) error) adminapi.KeptReport {
	report := adminapi.KeptReport{DryRun: dryRun, Remaining: map[string]int{}}
	err := r.store.Walk(ctx, sel, func(e adminapi.KeptEntry) error {
		if sel.Limit > 0 && report.LookedAt >= sel.Limit {
			report.More = true
			return errLimit
		}
		report.LookedAt++
		report.Last = e.Sequence
		if err := visit(&report, &e); err != nil {
			return fmt.Errorf("entry %d of %s: %w", e.Sequence, e.Place, err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		report.Stopped, report.Err = err.Error(), err
	}
	return report
}
