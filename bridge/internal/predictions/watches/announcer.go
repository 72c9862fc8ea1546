// Package watches turns announcements of predictions into events, from which the prediction
// store learns of them whatever becomes of their webhooks.
package watches

import (
	"context"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Publisher makes events durable. It is safe for concurrent use.
type Publisher interface {
	// Publish returns when the event is durable. The error wraps one of [bridge.ErrFull],
	// [bridge.ErrUnavailable], [bridge.ErrUnknown] and [bridge.ErrTooLarge].
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

// Announcer announces predictions. It is safe for concurrent use.
type Announcer struct {
	publisher  Publisher
	configured func(source string) bool
}

// NewAnnouncer returns an announcer for the sources that configured reports; configured is
// called concurrently.
func NewAnnouncer(p Publisher, configured func(source string) bool) *Announcer {
	return &Announcer{publisher: p, configured: configured}
}

// refusal says why a watch is invalid.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// Announce makes an announcement durable and returns the id of its event too. The same
// announcement within two hours adds nothing. The error says what is wrong with w, wraps
// [adminapi.ErrNoSource] for a source that is not configured, or is the publisher's: then
// announcing again is safe.
func (a *Announcer) Announce(ctx context.Context, w bridge.Watch) (bridge.Receipt, string, error) {
	return a.announce(ctx, w, bridge.OriginWatch, func() error { return nil })
}

// announce calls may for permission once the watch is known to be valid.
func (a *Announcer) announce(ctx context.Context, w bridge.Watch, origin string, may func() error) (bridge.Receipt, string, error) {
	now := time.Now()
	if err := w.Check(now); err != nil {
		return bridge.Receipt{}, "", &refusal{err}
	}
	if !a.configured(w.Source) {
		return bridge.Receipt{}, "", fmt.Errorf("source %s: %w", w.Source, adminapi.ErrNoSource)
	}
	e, err := w.Event(now)
	if err != nil {
		return bridge.Receipt{}, "", err
	}
	if err := may(); err != nil {
		return bridge.Receipt{}, "", err
	}
	e.Origin = origin
	r, err := a.publisher.Publish(ctx, e)
	if err != nil {
		return bridge.Receipt{}, "", fmt.Errorf("announcing prediction %q of %s: %w", w.Prediction, w.Source, err)
	}
	return r, e.ID, nil
}
