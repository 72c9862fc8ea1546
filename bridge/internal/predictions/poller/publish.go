package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// clockSlack is the allowed difference between the provider's clock and the event
	// store's.
	clockSlack = 10 * time.Minute
	// mostLooks bounds the events that are read to find one. Each costs a request to the
	// server.
	mostLooks = 50_000
)

// publish makes the prediction's end durable and returns nil then. It waits for the store
// as long as it takes, since the answer need not be polled again. The error wraps
// [bridge.ErrTooLarge]; after any other error the event need not be published.
func (p *poll) publish(ctx context.Context, e *bridge.Event) error {
	return p.tryTo(ctx, "storing the end of a prediction", bridge.ErrTooLarge, p.open, func(ctx context.Context) error {
		m, err := p.find(ctx, e)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, p.times.storing)
		defer cancel()
		if m != nil {
			return p.tellAgain(ctx, e, m)
		}
		if e.Query, err = p.query(ctx); err != nil {
			return err
		}
		_, err = p.store.Publish(ctx, e)
		return err
	})
}

// open reports whether the prediction is still to be polled.
func (p *poll) open(ctx context.Context) bool {
	_, _, err := p.leadership.Load(ctx, p.name, p.rec.ID)
	return !errors.Is(err, ErrNotOpen)
}

// query returns the webhook's query parameters, as far as the announcement holds them.
func (p *poll) query(ctx context.Context) (map[string]string, error) {
	names := p.source.Query
	if len(names) == 0 {
		return nil, nil
	}
	s, err := p.states.Prediction(ctx, p.name, p.rec.ID)
	if errors.Is(err, bridge.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return queryOf(names, s.Announced), nil
}

func queryOf(names []string, a *bridge.Announced) map[string]string {
	if a == nil {
		return nil
	}
	said := map[string]string{"reference": a.Reference, "ref": a.Reference, "tenant": a.Tenant}
	maps.Copy(said, a.Metadata)
	maps.DeleteFunc(said, func(name, value string) bool {
		return value == "" || bridge.EncodedLen(value) > bridge.MaxQueryValue || !slices.Contains(names, name)
	})
	if len(said) == 0 {
		return nil
	}
	return said
}

// find returns the message that holds the event already, when the stream may have forgotten
// its id; nil for none. Such a message came at least Keep before the view heard
// of the prediction, because the view had forgotten the prediction again. So find searches
// only if the provider says that the prediction had ended by then, and only the first
// mostLooks events of the model after that end. Consumers get an event that find misses
// twice, as they may get any event.
func (p *poll) find(ctx context.Context, e *bridge.Event) (*jetstream.RawStreamMsg, error) {
	latest := p.rec.FirstSeen.Add(-p.cfg.Keep)
	ended := endedAt(e)
	if ended.IsZero() || !ended.Add(-clockSlack).Before(latest) {
		return nil, nil
	}
	ended = ended.Add(-clockSlack)
	names := p.cfg.Names
	stream, err := streamread.Open(ctx, p.js, names.EventsStream())
	if err != nil {
		return nil, err
	}
	if e.ReceivedAt.Sub(ended) < stream.CachedInfo().Config.Duplicates {
		return nil, nil
	}
	first, err := streamread.FirstSince(ctx, stream, ended)
	if err != nil {
		return nil, err
	}
	var found *jetstream.RawStreamMsg
	seen := 0
	span := streamread.Span{Subject: names.Event(e.Source, e.Status, e.Model), After: first - 1}
	err = streamread.Walk(ctx, stream, span, func(m *jetstream.RawStreamMsg) error {
		if seen++; seen > p.looks || m.Time.After(latest) {
			return errSeen
		}
		if have, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data); err == nil && have.ID == e.ID {
			found = m
			return errSeen
		}
		return nil
	})
	if err != nil && !errors.Is(err, errSeen) {
		return nil, fmt.Errorf("looking for event %q: %w", e.ID, err)
	}
	return found, nil
}

var errSeen = errors.New("seen enough")

// endedAt is the earliest possible end of the event's prediction, as far as the provider
// says.
func endedAt(e *bridge.Event) time.Time {
	told, err := e.Prediction()
	switch {
	case err != nil:
		return time.Time{}
	case !told.CompletedAt.IsZero():
		return told.CompletedAt
	}
	return told.CreatedAt
}

// tellAgain gives the stored event to the leader alone: consumers have had it.
func (p *poll) tellAgain(ctx context.Context, e *bridge.Event, m *jetstream.RawStreamMsg) error {
	names := p.cfg.Names
	header := bridge.Again{Sequence: m.Sequence}.Header(bridge.Header(m.Header))
	// The id holds when the prediction was heard of, since it can be forgotten again.
	header[bridge.HeaderMsgID] = []string{bridge.AgainID(bridge.PredictionsConsumer, e.ID, "polled-"+strconv.FormatInt(p.rec.FirstSeen.UnixNano(), 10))}
	_, err := p.store.Store(ctx, names.EventsStream(), &nats.Msg{
		Subject: names.Again(bridge.PredictionsConsumer, m.Subject), Header: nats.Header(header), Data: m.Data,
	})
	return err
}
