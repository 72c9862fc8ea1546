package redelivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

type reader struct {
	missing bool
	// again: it reads the subject of redelivered events.
	again   bool
	filters []string // without that subject
}

type readers struct {
	js    jetstream.JetStream
	names bridge.Names
	known map[string]reader
}

func (r *Redeliverer) readers() *readers {
	return &readers{js: r.js, names: r.cfg.Names, known: map[string]reader{}}
}

func (r *readers) find(ctx context.Context, consumer string) (reader, error) {
	if known, ok := r.known[consumer]; ok {
		return known, nil
	}
	if consumer == bridge.PredictionsConsumer { // views read it, without a durable
		return reader{again: true, filters: []string{r.names.AllEvents()}}, nil
	}
	found := reader{}
	switch durable, err := r.js.Consumer(ctx, r.names.EventsStream(), consumer); {
	case errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrInvalidConsumerName):
		found.missing = true
	case err != nil:
		return reader{}, fmt.Errorf("looking up durable %s: %w", consumer, err)
	default:
		for _, filter := range streamread.Filters(durable.CachedInfo().Config) {
			found.again = found.again || streamread.SubjectMatches(filter, r.names.Again(consumer, r.names.Event("any", "any", "any")))
			if !r.names.IsAgain(filter) {
				found.filters = append(found.filters, filter)
			}
		}
	}
	r.known[consumer] = found
	return found, nil
}

func matchesAny(filters []string, subject string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return streamread.SubjectMatches(f, subject) })
}
