package redelivery

import (
	"cmp"
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Events reads stored events. It is safe for concurrent use.
type Events struct {
	js    jetstream.JetStream
	names bridge.Names
}

// NewEvents returns the events that js has.
func NewEvents(js jetstream.JetStream, names bridge.Names) *Events {
	return &Events{js: js, names: names}
}

// Get returns one event. The error wraps [bridge.ErrNotFound] when it is not there.
func (v *Events) Get(ctx context.Context, seq uint64) (adminapi.EventEntry, error) {
	m, err := streamread.GetFrom(ctx, v.js, v.names.EventsStream(), seq)
	if err != nil {
		return adminapi.EventEntry{}, err
	}
	return decodeEntry(m), nil
}

// Scan is [DeadLetters.Scan] for events. It skips copies that come again for one consumer.
func (v *Events) Scan(ctx context.Context, sel adminapi.EventSelection, visit func(e adminapi.EventEntry, selected bool) error) error {
	stream, err := streamread.Open(ctx, v.js, v.names.EventsStream())
	if err != nil {
		return err
	}
	s := streamread.Span{Subject: v.names.AllEvents(), Sequences: sel.Sequences, After: sel.After, Before: sel.Before, Newest: sel.Newest}
	if subjects, _ := sel.Filter.Subjects(v.names); len(subjects) == 1 && !sel.Named() {
		s.Subject = subjects[0]
	}
	if !sel.Named() && !sel.Since.IsZero() {
		first, err := streamread.FirstSince(ctx, stream, sel.Since)
		if err != nil {
			return err
		}
		s.After = max(s.After, first-1)
	}
	if sel.Newest && !sel.Until.IsZero() {
		end, err := streamread.FirstSince(ctx, stream, sel.Until)
		if err != nil {
			return err
		}
		s.Before = cmp.Or(min(s.Before, end), end)
	}
	err = streamread.Walk(ctx, stream, s, func(m *jetstream.RawStreamMsg) error {
		if !sel.Newest && !sel.Until.IsZero() && !m.Time.Before(sel.Until) {
			return errUntil
		}
		e := decodeEntry(m)
		return visit(e, sel.Match(&e))
	})
	if errors.Is(err, errUntil) {
		return nil
	}
	return err
}

var errUntil = errors.New("the following events are too young")

func decodeEntry(m *jetstream.RawStreamMsg) adminapi.EventEntry {
	e := adminapi.EventEntry{Sequence: m.Sequence, StoredAt: m.Time, Subject: m.Subject, Header: bridge.Header(m.Header), Body: m.Data}
	ev, err := bridge.DecodeEvent(e.Header, m.Data)
	if err != nil {
		e.Problem = err.Error()
		return e
	}
	ev.Subject, ev.Sequence = m.Subject, m.Sequence
	e.Event = ev
	return e
}
