// Package quarantine keeps the deliveries that did not become an event: authentic ones that
// cannot be used in a [Quarantine], which never drops any, and those that are not authentic
// in the ring of [Refused]. [KeptStore] lists both. Once a secret is repaired, a
// [Reverifier] makes events of those that are authentic and usable now. What is wrong with
// a delivery is for package source to say.
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

// Store has the deliveries.
type Store interface {
	// Walk calls visit for every entry of the selection in order, until visit
	// returns an error, which it returns. visit may remove the entry.
	Walk(ctx context.Context, sel adminapi.KeptSelection, visit func(adminapi.KeptEntry) error) error
	// Remove removes an entry. The error wraps bridge.ErrNotFound when it is gone.
	Remove(ctx context.Context, place string, seq uint64) error
}

// Publisher makes events durable.
type Publisher interface {
	// Publish returns once the event is durable, or durable already, and only
	// then without an error.
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// Reverifier makes events of deliveries, or drops them. It is safe for
// concurrent use.
type Reverifier struct {
	store     Store
	publisher Publisher
	sources   func(name string) *source.Source
}

// New returns a reverifier. Sources returns the source of that name as it is
// configured now, or nil; it is called concurrently.
func New(store Store, publisher Publisher, sources func(name string) *source.Source) *Reverifier {
	return &Reverifier{store: store, publisher: publisher, sources: sources}
}

// Why an entry stays that would not say so by its own cause.
const (
	causeTruncated     = "truncated"      // a part of it was not kept
	causeUnknownSource = "unknown_source" // its source is not configured any more
	causeTooLarge      = "too_large"      // the store does not take the event
	causeNotAuthentic  = "not_authentic"  // nothing proves that it came from its source
)

var errLimit = errors.New("limit reached")

// Reverify verifies and reads the selected entries again, with the secrets of
// now and the time of their first receipt. What is an event now is published,
// with the id it would have had, and its entry is removed once the event is
// acknowledged. Everything else stays. An error of the store or the publisher
// ends it early and stands in the report; what was counted is done. Running it
// again is safe: within the duplicate window an event is stored once. Entries of
// cause [bridge.CausePathToken] stay unless the options take them, and those that
// are truncated stay in any case.
func (r *Reverifier) Reverify(ctx context.Context, sel adminapi.KeptSelection, o adminapi.ReverifyOptions) adminapi.KeptReport {
	return r.walk(ctx, sel, o.DryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		event, cause := r.event(e, o)
		return r.publish(ctx, report, e, event, cause, o.DryRun, nil)
	})
}

// Accept makes events of selected entries of the quarantine that a person has looked
// at, and that [Reverifier.Reverify] leaves there: those of which only one reading is
// possible, see [source.Source.AcceptLenient]. They are verified with the secrets of
// now. Entries of another place are never accepted: nothing proves who sent them. The
// rest is as for Reverify: an event has the same id each time.
func (r *Reverifier) Accept(ctx context.Context, sel adminapi.KeptSelection, o adminapi.AcceptOptions) adminapi.KeptReport {
	return r.walk(ctx, sel, o.DryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		event, cause := r.lenient(e)
		return r.publish(ctx, report, e, event, cause, o.DryRun, o.Accepted)
	})
}

// publish stores the event of one entry and removes the entry, or counts it as staying
// for the cause.
func (r *Reverifier) publish(ctx context.Context, report *adminapi.KeptReport, e *adminapi.KeptEntry, event *bridge.Event, cause string,
	dryRun bool, stored func(adminapi.KeptEntry, *bridge.Event),
) error {
	if event == nil {
		report.Remaining[cause]++
		return nil
	}
	if dryRun {
		report.Events++
		return nil
	}
	receipt, err := r.publisher.Publish(ctx, event)
	switch {
	case errors.Is(err, bridge.ErrTooLarge):
		report.Remaining[causeTooLarge]++
		return nil
	case err != nil:
		report.Remaining[e.Cause]++
		return err
	case receipt.Result == bridge.Duplicate:
		report.Duplicates++
	default:
		report.Events++
	}
	if stored != nil {
		stored(*e, event)
	}
	return r.remove(ctx, report, e)
}

// Drop removes the selected entries for good. Dry run counts them.
func (r *Reverifier) Drop(ctx context.Context, sel adminapi.KeptSelection, dryRun bool) adminapi.KeptReport {
	return r.walk(ctx, sel, dryRun, func(report *adminapi.KeptReport, e *adminapi.KeptEntry) error {
		if dryRun {
			report.Removed++
			return nil
		}
		return r.remove(ctx, report, e)
	})
}

// event returns the event that the entry is now, or the cause why it is none.
func (r *Reverifier) event(e *adminapi.KeptEntry, o adminapi.ReverifyOptions) (event *bridge.Event, cause string) {
	if e.Cause == bridge.CausePathToken && !o.AcceptPathToken {
		// The signature alone was never enough for this source.
		return nil, bridge.CausePathToken
	}
	return r.read(e, o.AcceptStale, (*source.Source).Accept)
}

// lenient is event for an entry that a person has looked at.
func (r *Reverifier) lenient(e *adminapi.KeptEntry) (event *bridge.Event, cause string) {
	if e.Place != adminapi.PlaceQuarantine || e.Cause == bridge.CausePathToken {
		return nil, causeNotAuthentic
	}
	return r.read(e, true, (*source.Source).AcceptLenient)
}

func (r *Reverifier) read(e *adminapi.KeptEntry, anyAge bool, accept func(*source.Source, source.Delivery) (*bridge.Event, error)) (event *bridge.Event, cause string) {
	src := r.sources(e.Source)
	switch {
	case e.Truncated:
		return nil, causeTruncated
	case src == nil:
		return nil, causeUnknownSource
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
		return nil // somebody else was quicker, or the ring has turned
	}
	if err == nil {
		report.Removed++
	}
	return err
}

// walk visits the selected entries and counts them.
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
		report.Stopped = err.Error()
	}
	return report
}
