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

// Letters reads and removes dead letters. It keeps one of them in memory at a time
// and is safe for concurrent use.
type DeadLetters struct {
	js    jetstream.JetStream
	names bridge.Names
}

// NewLetters returns the dead letters that js has.
func NewDeadLetters(js jetstream.JetStream, names bridge.Names) *DeadLetters {
	return &DeadLetters{js: js, names: names}
}

// Get returns one letter. The error wraps [bridge.ErrNotFound] when it is not there.
func (l *DeadLetters) Get(ctx context.Context, seq uint64) (adminapi.DeadEntry, error) {
	stream, err := streamread.Open(ctx, l.js, l.names.DeadStream())
	if err != nil {
		return adminapi.DeadEntry{}, err
	}
	m, err := streamread.Get(ctx, stream, seq)
	if err != nil {
		return adminapi.DeadEntry{}, err
	}
	return l.decode(m), nil
}

// Remove removes one letter. The error wraps [bridge.ErrNotFound] when it is not
// there.
func (l *DeadLetters) Remove(ctx context.Context, seq uint64) error {
	stream, err := streamread.Open(ctx, l.js, l.names.DeadStream())
	if err != nil {
		return err
	}
	return streamread.Remove(ctx, stream, seq)
}

// Walk calls visit for every letter of the selection in order, until visit returns
// an error, which it returns. Letters that come while it walks are left out, those
// that are gone are passed over, and visit may remove the one it is given. It does
// not know the selection's limit.
func (l *DeadLetters) Walk(ctx context.Context, sel adminapi.DeadSelection, visit func(adminapi.DeadEntry) error) error {
	return l.Scan(ctx, sel, func(e adminapi.DeadEntry, selected bool) error {
		if !selected {
			return nil
		}
		return visit(e)
	})
}

// Scan is [Letters.Walk] that also visits what had to be read to find out that it is
// not selected, so that whoever looks for something rare knows how far it has come.
func (l *DeadLetters) Scan(ctx context.Context, sel adminapi.DeadSelection, visit func(e adminapi.DeadEntry, selected bool) error) error {
	stream, err := streamread.Open(ctx, l.js, l.names.DeadStream())
	if err != nil {
		return err
	}
	s := streamread.Span{Subject: l.names.DeadSubjects()[0], Sequences: sel.Sequences, After: sel.After, Before: sel.Before, Newest: sel.Newest}
	if sel.Consumer != "" {
		s.Subject = l.names.AllDead(bridge.EncodeToken(sel.Consumer))
	}
	return streamread.Walk(ctx, stream, s, func(m *jetstream.RawStreamMsg) error {
		e := l.decode(m)
		return visit(e, sel.Match(&e))
	})
}

// decode never fails: what cannot be read can still be looked at and dropped.
func (l *DeadLetters) decode(m *jetstream.RawStreamMsg) adminapi.DeadEntry {
	e := adminapi.DeadEntry{Sequence: m.Sequence, StoredAt: m.Time, Header: bridge.Header(m.Header), Body: m.Data}
	letter, err := bridge.DecodeDeadLetter(e.Header)
	if err != nil {
		letter, e.Problem = &bridge.DeadLetter{Cause: bridge.DeadUndecodable}, err.Error()
	}
	e.DeadLetter = *letter
	// Who may write letters of one consumer cannot make them those of another one: the
	// subject counts, and not what the header says.
	e.Consumer = l.names.DeadConsumer(m.Subject)
	if e.Problem != "" || e.Cause == bridge.DeadExpired {
		return e
	}
	if e.Event, err = bridge.DecodeEvent(e.Header.Original(), m.Data); err != nil {
		e.Event, e.Problem = nil, err.Error()
		return e
	}
	e.Event.Subject, e.Event.Sequence = e.Subject, letter.Sequence
	return e
}

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
	stream, err := streamread.Open(ctx, v.js, v.names.EventsStream())
	if err != nil {
		return adminapi.EventEntry{}, err
	}
	m, err := streamread.Get(ctx, stream, seq)
	if err != nil {
		return adminapi.EventEntry{}, err
	}
	return decodeEntry(m), nil
}

// Walk calls visit for every event of the selection in order, until visit returns an
// error, which it returns. Copies that came again for one consumer are no part of
// it, nor is what comes while it walks. It does not know the selection's limit.
func (v *Events) Walk(ctx context.Context, sel adminapi.EventSelection, visit func(adminapi.EventEntry) error) error {
	return v.Scan(ctx, sel, func(e adminapi.EventEntry, selected bool) error {
		if !selected {
			return nil
		}
		return visit(e)
	})
}

// Scan is [Events.Walk] that also visits what had to be read to find out that it is
// not selected.
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

var errUntil = errors.New("what follows is younger")

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

// consumerFilters are the subjects that a durable reads.
func consumerFilters(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	if len(c.FilterSubjects) == 0 {
		return []string{">"}
	}
	return c.FilterSubjects
}

func matchesAny(filters []string, subject string) bool {
	for _, f := range filters {
		if streamread.SubjectMatches(f, subject) {
			return true
		}
	}
	return false
}
