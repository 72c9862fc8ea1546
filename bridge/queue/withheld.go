package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// WithheldStore reads and removes the deliveries that did not become an event,
// those in quarantine and those in the ring of refused ones. It keeps one of them
// in memory at a time, and is safe for concurrent use.
type WithheldStore struct {
	js    jetstream.JetStream
	names bridge.Names
}

// NewWithheldStore returns a store that uses js.
func NewWithheldStore(js jetstream.JetStream, names bridge.Names) *WithheldStore {
	return &WithheldStore{js: js, names: names}
}

// Get returns one entry. The error wraps [bridge.ErrNoEntry] when it is not there.
func (s *WithheldStore) Get(ctx context.Context, place string, seq uint64) (bridge.WithheldEntry, error) {
	stream, err := s.stream(ctx, place)
	if err != nil {
		return bridge.WithheldEntry{}, err
	}
	return s.get(ctx, stream, place, seq)
}

// Remove removes one entry. The error wraps [bridge.ErrNoEntry] when it is not
// there.
func (s *WithheldStore) Remove(ctx context.Context, place string, seq uint64) error {
	stream, err := s.stream(ctx, place)
	if err != nil {
		return err
	}
	if err := stream.DeleteMsg(ctx, seq); err != nil {
		// Its error does not say in a way that can be asked whether the entry
		// was there.
		if _, got := s.get(ctx, stream, place, seq); errors.Is(got, bridge.ErrNoEntry) {
			return got
		}
		return fmt.Errorf("removing entry %d of %s: %w", seq, place, err)
	}
	return nil
}

// Walk calls visit for every entry of the selection, of the quarantine first,
// each in order, until visit returns an error, which it returns. Entries that
// come while it walks are left out, entries that are gone are passed over, and
// visit may remove the one it is given. It does not know the selection's limit.
func (s *WithheldStore) Walk(ctx context.Context, sel bridge.WithheldSelection, visit func(bridge.WithheldEntry) error) error {
	for _, place := range bridge.Places() {
		if sel.Place != "" && sel.Place != place {
			continue
		}
		stream, err := s.stream(ctx, place)
		if err != nil {
			return err
		}
		if len(sel.Sequences) > 0 {
			err = s.walkSequences(ctx, stream, place, sel, visit)
		} else {
			err = s.walkStream(ctx, stream, place, sel, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *WithheldStore) walkStream(ctx context.Context, stream jetstream.Stream, place string, sel bridge.WithheldSelection, visit func(bridge.WithheldEntry) error) error {
	last := stream.CachedInfo().State.LastSeq
	subject := s.names.PlaceSubject(place, sel.Source, sel.Cause)
	for seq := sel.After + 1; seq <= last; {
		e, err := s.get(ctx, stream, place, seq, jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, bridge.ErrNoEntry) || err == nil && e.Sequence > last:
			return nil
		case err != nil:
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
		seq = e.Sequence + 1
	}
	return nil
}

func (s *WithheldStore) walkSequences(ctx context.Context, stream jetstream.Stream, place string, sel bridge.WithheldSelection, visit func(bridge.WithheldEntry) error) error {
	for _, seq := range slices.Sorted(slices.Values(sel.Sequences)) {
		if seq <= sel.After {
			continue
		}
		e, err := s.get(ctx, stream, place, seq)
		switch {
		case errors.Is(err, bridge.ErrNoEntry):
			continue
		case err != nil:
			return err
		case sel.Source != "" && e.Source != sel.Source || sel.Cause != "" && e.Cause != sel.Cause:
			continue
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *WithheldStore) stream(ctx context.Context, place string) (jetstream.Stream, error) {
	name := s.names.PlaceStream(place)
	if name == "" {
		return nil, fmt.Errorf("%q is no place of kept deliveries: %w", place, bridge.ErrNoEntry)
	}
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("looking at stream %s: %w", name, err)
	}
	return stream, nil
}

func (s *WithheldStore) get(ctx context.Context, stream jetstream.Stream, place string, seq uint64, opts ...jetstream.GetMsgOpt) (bridge.WithheldEntry, error) {
	m, err := stream.GetMsg(ctx, seq, opts...)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = fmt.Errorf("%w: %w", bridge.ErrNoEntry, err)
	}
	if err != nil {
		return bridge.WithheldEntry{}, fmt.Errorf("reading entry %d of %s: %w", seq, place, err)
	}
	w, err := bridge.DecodeWithheld(bridge.Header(m.Header), m.Data)
	if err != nil {
		w = s.unreadable(m, place, err)
	}
	// The subject is what entries are found by, so it counts.
	w.Source, w.Cause = s.parse(m.Subject, place)
	return bridge.WithheldEntry{Place: place, Sequence: m.Sequence, Withheld: *w}, nil
}

// unreadable is what can be said of a message that somebody else put there. It
// can be looked at and dropped.
func (s *WithheldStore) unreadable(m *jetstream.RawStreamMsg, place string, err error) *bridge.Withheld {
	return &bridge.Withheld{
		Detail:     fmt.Sprintf("this message of %s was not written by Hookspan: %v", s.names.PlaceStream(place), err),
		ReceivedAt: m.Time, Body: m.Data, BodyBytes: int64(len(m.Data)), Truncated: true,
	}
}

func (s *WithheldStore) parse(subject, place string) (source, cause string) {
	tokens := strings.Split(subject, ".")
	if want := strings.Split(s.names.PlaceSubject(place, "", ""), "."); len(tokens) != len(want) {
		return subject, "unreadable"
	}
	return tokens[2], tokens[3]
}
