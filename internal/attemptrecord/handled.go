package attemptrecord

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Handled reports whether the consumer is known to have handled the event: it acts once and
// finished the event, or finished it after a dead letter. Other consumers keep no record of
// handled events, so false means unknown. names are those of the bridge.
func Handled(ctx context.Context, js jetstream.JetStream, names bridge.Names, consumer string, ev *bridge.Event) (bool, error) {
	s, err := Open(ctx, js, names, consumer, 0)
	if err != nil {
		return false, err
	}
	for _, key := range []string{EventKey(ev.ID), OnceKey(ev)} {
		r, _, err := s.Load(ctx, key)
		if err != nil {
			return false, err
		}
		if r.Event == ev.ID && r.State == Done {
			return true, nil
		}
	}
	return false, nil
}
