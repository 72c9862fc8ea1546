package quarantine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// KeptStore reads and removes kept deliveries: those in quarantine and those in the ring of
// refused ones. It holds one at a time in memory, and is safe for concurrent use.
type KeptStore struct {
	js    jetstream.JetStream
	names bridge.Names
}

// NewKeptStore returns a store that uses js.
func NewKeptStore(js jetstream.JetStream, names bridge.Names) *KeptStore {
	return &KeptStore{js: js, names: names}
}

// Get returns one entry. The error wraps [bridge.ErrNotFound] when it is not there.
func (s *KeptStore) Get(ctx context.Context, place string, seq uint64) (adminapi.KeptEntry, error) {
	name, err := s.stream(place)
	if err != nil {
		return adminapi.KeptEntry{}, err
	}
	m, err := streamread.GetFrom(ctx, s.js, name, seq)
	if err != nil {
		return adminapi.KeptEntry{}, err
	}
	return s.entry(place, m), nil
}

// Remove removes one entry. The error wraps [bridge.ErrNotFound] when it is not
// there.
func (s *KeptStore) Remove(ctx context.Context, place string, seq uint64) error {
	name, err := s.stream(place)
	if err != nil {
		return err
	}
	return streamread.RemoveFrom(ctx, s.js, name, seq)
}

// RemoveAll removes entries. Those that are not there are no error.
func (s *KeptStore) RemoveAll(ctx context.Context, place string, sequences []uint64) error {
	name, err := s.stream(place)
	if err != nil {
		return err
	}
	return streamread.RemoveAll(ctx, s.js, name, sequences)
}

// Last returns the last sequence of a place.
func (s *KeptStore) Last(ctx context.Context, place string) (uint64, error) {
	name, err := s.stream(place)
	if err != nil {
		return 0, err
	}
	stream, err := streamread.Open(ctx, s.js, name)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Causes counts the entries by place, source and cause: those in quarantine first, in each place
// the largest first.
func (s *KeptStore) Causes(ctx context.Context) (list adminapi.KeptCauses, err error) {
	list.Causes = []adminapi.KeptCause{}
	for _, place := range adminapi.Places() {
		stream, err := streamread.Open(ctx, s.js, placeStream(s.names, place))
		if err != nil {
			return list, err
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			return list, fmt.Errorf("counting kept deliveries: %w", err)
		}
		var causes []adminapi.KeptCause
		for subject, n := range info.State.Subjects {
			source, cause := s.sourceAndCause(place, subject)
			causes = append(causes, adminapi.KeptCause{Stream: place, Source: source, Cause: cause, Count: n})
		}
		slices.SortFunc(causes, func(a, b adminapi.KeptCause) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Source, b.Source))
		})
		list.Causes = append(list.Causes, causes...)
	}
	return list, nil
}

// Walk calls visit for every entry of the selection, the quarantine first, each stream in the
// order of the selection, and returns the first error of visit. It skips entries that arrive
// during the walk, are gone, or cannot be read. visit may remove its entry. Walk ignores the
// limit of the selection.
func (s *KeptStore) Walk(ctx context.Context, sel adminapi.KeptSelection, visit func(adminapi.KeptEntry) error) error {
	for _, place := range adminapi.Places() {
		if sel.Place != "" && sel.Place != place {
			continue
		}
		stream, err := streamread.Open(ctx, s.js, placeStream(s.names, place))
		if err != nil {
			return err
		}
		span := streamread.Span{Subject: ">", Sequences: sel.Sequences, After: sel.After, Before: sel.Before, Newest: sel.Newest}
		if sel.Source != "" || sel.Cause != "" {
			span.Subject = placeSubject(s.names, place, sel.Source, sel.Cause)
		}
		err = streamread.Walk(ctx, stream, span, func(m *jetstream.RawStreamMsg) error { return visit(s.entry(place, m)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *KeptStore) stream(place string) (string, error) {
	name := placeStream(s.names, place)
	if name == "" {
		return "", fmt.Errorf("%q is no place of kept deliveries: %w", place, bridge.ErrNotFound)
	}
	return name, nil
}

func (s *KeptStore) entry(place string, m *jetstream.RawStreamMsg) adminapi.KeptEntry {
	w, err := bridge.DecodeKept(bridge.Header(m.Header), m.Data)
	if err != nil { // an operator can still look at it and drop it
		w = &bridge.KeptDelivery{
			Detail:     fmt.Sprintf("this message of %s was not written by Hookspan: %v", placeStream(s.names, place), err),
			ReceivedAt: m.Time, Body: m.Data, BodyBytes: int64(len(m.Data)), Truncated: true,
		}
	}
	// Entries are found by their subject, so the subject decides.
	w.Source, w.Cause = s.sourceAndCause(place, m.Subject)
	return adminapi.KeptEntry{Place: place, Sequence: m.Sequence, KeptDelivery: *w}
}

func (s *KeptStore) sourceAndCause(place, subject string) (source, cause string) {
	if tokens := strings.Split(subject, "."); len(tokens) == strings.Count(placeSubject(s.names, place, "", ""), ".")+1 {
		return tokens[2], tokens[3]
	}
	return subject, "unreadable"
}

// placeStream returns the stream of a place, "" for an unknown place.
func placeStream(n bridge.Names, place string) string {
	switch place {
	case adminapi.PlaceQuarantine:
		return n.QuarantineStream()
	case adminapi.PlaceRefused:
		return n.RefusedStream()
	}
	return ""
}

// placeSubject returns the subject pattern of kept deliveries; an empty source or cause matches
// all.
func placeSubject(n bridge.Names, place, source, cause string) string {
	if source == "" {
		source = "*"
	}
	if cause == "" {
		cause = "*"
	}
	if place == adminapi.PlaceRefused {
		return n.Refused(source, cause)
	}
	return n.Quarantine(source, cause)
}
