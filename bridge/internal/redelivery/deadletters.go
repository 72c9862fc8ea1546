package redelivery

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// DeadLetters reads and removes dead letters. It holds one at a time in memory, and is safe for
// concurrent use.
type DeadLetters struct {
	js    jetstream.JetStream
	names bridge.Names
}

// NewDeadLetters returns the dead letters that js has.
func NewDeadLetters(js jetstream.JetStream, names bridge.Names) *DeadLetters {
	return &DeadLetters{js: js, names: names}
}

// Get returns one dead letter. The error wraps [bridge.ErrNotFound] when it is not there.
func (l *DeadLetters) Get(ctx context.Context, seq uint64) (adminapi.DeadEntry, error) {
	m, err := streamread.GetFrom(ctx, l.js, l.names.DeadStream(), seq)
	if err != nil {
		return adminapi.DeadEntry{}, err
	}
	return l.decode(m), nil
}

// Remove removes one dead letter. The error wraps [bridge.ErrNotFound] when it is not
// there.
func (l *DeadLetters) Remove(ctx context.Context, seq uint64) error {
	return streamread.RemoveFrom(ctx, l.js, l.names.DeadStream(), seq)
}

// Scan calls visit for every dead letter that it reads, in order, with whether the selection
// includes it, and returns the first error of visit. So a caller that looks for something rare
// sees the progress. Scan skips dead letters that arrive during the scan or are gone. visit may
// remove its dead letter. Scan ignores the limit of the selection.
func (l *DeadLetters) Scan(ctx context.Context, sel adminapi.DeadSelection, visit func(e adminapi.DeadEntry, selected bool) error) error {
	return l.scan(ctx, sel, nil, visit)
}

// scan is [DeadLetters.Scan], and calls unreadable as [streamread.Span] says.
func (l *DeadLetters) scan(ctx context.Context, sel adminapi.DeadSelection, unreadable func(), visit func(e adminapi.DeadEntry, selected bool) error) error {
	stream, err := streamread.Open(ctx, l.js, l.names.DeadStream())
	if err != nil {
		return err
	}
	s := streamread.Span{
		Subject: l.subject(sel), Sequences: sel.Sequences, After: sel.After, Before: sel.Before, Newest: sel.Newest, Unreadable: unreadable,
	}
	return streamread.Walk(ctx, stream, s, func(m *jetstream.RawStreamMsg) error {
		e := l.decode(m)
		return visit(e, sel.Match(&e))
	})
}

// subject is the pattern of the dead letters that [DeadLetters.Scan] reads.
func (l *DeadLetters) subject(sel adminapi.DeadSelection) string {
	if sel.Consumer == "" {
		return l.names.DeadSubjects()[0]
	}
	return l.names.AllDead(bridge.EncodeToken(sel.Consumer))
}

// decode never fails: an operator can still look at and drop an unreadable message.
func (l *DeadLetters) decode(m *jetstream.RawStreamMsg) adminapi.DeadEntry {
	e := adminapi.DeadEntry{Sequence: m.Sequence, StoredAt: m.Time, Header: bridge.Header(m.Header), Body: m.Data}
	deadLetter, err := bridge.DecodeDeadLetter(e.Header)
	if err != nil {
		deadLetter, e.Problem = &bridge.DeadLetter{Cause: bridge.DeadUndecodable}, err.Error()
	}
	e.DeadLetter = *deadLetter
	// The subject decides, not the header: NATS permissions are by subject, so that nobody can
	// write dead letters of another consumer.
	e.Consumer = l.names.DeadConsumer(m.Subject)
	if e.Problem != "" || e.Cause == bridge.DeadExpired {
		return e
	}
	if e.Event, err = bridge.DecodeEvent(e.Header.Original(), m.Data); err != nil {
		e.Event, e.Problem = nil, err.Error()
		return e
	}
	e.Event.Subject, e.Event.Sequence = e.Subject, deadLetter.Sequence
	return e
}
