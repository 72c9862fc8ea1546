// Package streamread reads messages of a stream one by one, holding one in memory at a time,
// for operators and for redelivery. It also checks whether a message is stored that a stream
// calls a duplicate.
package streamread

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
)

// Span selects messages of a stream.
type Span struct {
	// Subject is a pattern.
	Subject string
	// Sequences names messages; empty selects all.
	Sequences []uint64
	// After excludes the messages up to that sequence; Before, unless zero, those from that
	// sequence on.
	After, Before uint64
	// Newest visits the last message first. It must not be combined with Sequences.
	Newest bool
	// Unreadable, if set, is called when a walk forwards has passed over messages that cannot be
	// read. It may have passed over readable ones between them too.
	Unreadable func()
}

// Walk calls visit for every message of the span, in order, and returns the first error of
// visit. It skips messages that arrive during the walk, are gone, or cannot be read. visit may
// remove its message.
func Walk(ctx context.Context, stream jetstream.Stream, s Span, visit func(*jetstream.RawStreamMsg) error) error {
	if len(s.Sequences) > 0 {
		return walkSequences(ctx, stream, s, visit)
	}
	if s.Newest {
		return walkBack(ctx, stream, s, visit)
	}
	last := stream.CachedInfo().State.LastSeq
	if s.Before > 0 {
		last = min(last, s.Before-1)
	}
	for seq := s.After + 1; seq <= last; {
		m, behind, err := next(ctx, stream, s.Subject, seq, last)
		if err != nil || m == nil || m.Sequence > last {
			return err
		}
		if behind && s.Unreadable != nil {
			s.Unreadable()
		}
		if err := visit(m); err != nil {
			return err
		}
		seq = m.Sequence + 1
	}
	return nil
}

// next returns the first message from seq to last, nil if there is none, and whether it lies
// behind unreadable ones.
func next(ctx context.Context, stream jetstream.Stream, subject string, seq, last uint64) (m *jetstream.RawStreamMsg, behind bool, err error) {
	get := func(seq uint64) (*jetstream.RawStreamMsg, error) {
		return Get(ctx, stream, seq, jetstream.WithGetMsgSubject(subject))
	}
	m, err = get(seq)
	if errors.Is(err, bridge.ErrNotFound) {
		m, err = Behind(seq, last, get)
		return m, true, err
	}
	return m, false, err
}

// Behind returns the first readable message from seq to last, nil if there is none. Unlike the
// server, it looks behind unreadable messages: the server says "not found" also when it cannot
// read a message before the next one. get returns the first message from a sequence on; its
// error wraps [bridge.ErrNotFound] when the server finds none.
func Behind(seq, last uint64, get func(seq uint64) (*jetstream.RawStreamMsg, error)) (*jetstream.RawStreamMsg, error) {
	var m *jetstream.RawStreamMsg
	// get finds nothing at low, and m at high. The steps grow, since damage is usually small.
	low, high := seq, last+1
	for step := uint64(1); high-low > 1; step = min(2*step, high) {
		probe := low + min(step, (high-low)/2)
		found, err := get(probe)
		switch {
		case errors.Is(err, bridge.ErrNotFound):
			low = probe
		case err != nil:
			return nil, err
		default:
			m, high = found, probe
		}
	}
	return m, nil
}

func walkSequences(ctx context.Context, stream jetstream.Stream, s Span, visit func(*jetstream.RawStreamMsg) error) error {
	for _, seq := range slices.Compact(slices.Sorted(slices.Values(s.Sequences))) {
		if seq <= s.After {
			continue
		}
		m, err := Get(ctx, stream, seq)
		switch {
		case errors.Is(err, bridge.ErrNotFound):
			continue
		case err != nil:
			return err
		case !SubjectMatches(s.Subject, m.Subject):
			continue
		}
		if err := visit(m); err != nil {
			return err
		}
	}
	return nil
}

// Get returns one message, the one with that sequence unless an option says otherwise. The
// error wraps [bridge.ErrNotFound] when the server answers that it has no such message.
func Get(ctx context.Context, stream jetstream.Stream, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	m, err := stream.GetMsg(ctx, seq, opts...)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = fmt.Errorf("%w: %w", bridge.ErrNotFound, err)
	}
	if err == nil && stream.CachedInfo().Config.AllowDirect {
		err = asStored(m)
	}
	if err != nil {
		return nil, fmt.Errorf("reading message %d of %s: %w", seq, stream.CachedInfo().Config.Name, err)
	}
	return m, nil
}

// asStored puts right what a publisher may have forged. A direct get says where and when a
// message was stored in headers behind the message's own, and nats.go reads the first ones.
func asStored(m *jetstream.RawStreamMsg) (err error) {
	forged := func(key string) (last string, is bool) {
		values := m.Header[key]
		if is = len(values) > 1; is {
			last = values[len(values)-1]
		}
		return last, is
	}
	if subject, is := forged(jetstream.SubjectHeader); is {
		m.Subject = subject
	}
	if seq, is := forged(jetstream.SequenceHeader); is {
		if m.Sequence, err = strconv.ParseUint(seq, 10, 64); err != nil {
			return err
		}
	}
	if at, is := forged(jetstream.TimeStampHeaer); is {
		m.Time, err = time.Parse(time.RFC3339Nano, at)
	}
	return err
}

// GetReadable is [Get] for scans that look for damage: its error wraps [bridge.ErrNotFound]
// also for a message whose header cannot be used. Whoever acts on one message uses Get: the
// next server that is asked may have the message whole.
func GetReadable(ctx context.Context, stream jetstream.Stream, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	m, err := Get(ctx, stream, seq, opts...)
	if senseless(err) {
		err = fmt.Errorf("%w: %w", bridge.ErrNotFound, err)
	}
	return m, err
}

// senseless reports whether err is about a header that nats.go cannot use, for which it has
// no error of its own. The length of a header is not covered by the server's checksum.
func senseless(err error) bool {
	return err != nil && strings.Contains(err.Error(), "header") && !errors.Is(err, nats.ErrHeadersNotSupported)
}

// GetFrom is [Get] by the name of the stream.
func GetFrom(ctx context.Context, js jetstream.JetStream, name string, seq uint64) (*jetstream.RawStreamMsg, error) {
	stream, err := Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	return Get(ctx, stream, seq)
}

// RemoveFrom is [Remove] by the name of the stream.
func RemoveFrom(ctx context.Context, js jetstream.JetStream, name string, seq uint64) error {
	stream, err := Open(ctx, js, name)
	if err != nil {
		return err
	}
	return Remove(ctx, stream, seq)
}

// Remove removes one message. The error wraps [bridge.ErrNotFound] when it is not there.
func Remove(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	err := stream.DeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	// The error of the removal does not reveal whether the message existed.
	if _, got := Get(ctx, stream, seq); errors.Is(got, bridge.ErrNotFound) {
		return got
	}
	return fmt.Errorf("removing message %d of %s: %w", seq, stream.CachedInfo().Config.Name, err)
}

// removals is how many messages [RemoveAll] removes at once.
const removals = 8

// RemoveAll removes messages. Those that are not there are no error.
func RemoveAll(ctx context.Context, js jetstream.JetStream, name string, sequences []uint64) error {
	stream, err := Open(ctx, js, name)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(removals)
	for _, seq := range sequences {
		group.Go(func() error {
			if err := Remove(ctx, stream, seq); err != nil && !errors.Is(err, bridge.ErrNotFound) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

// RemoveTo removes the messages with such a subject up to a sequence, at the cost of one sync. The
// server reads all blocks of its files that have the subject. Messages that cannot be read may
// stay.
func RemoveTo(ctx context.Context, js jetstream.JetStream, name, subject string, seq uint64) error {
	stream, err := Open(ctx, js, name)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(seq+1))
	}
	if err != nil {
		return fmt.Errorf("removing messages of %s: %w", name, err)
	}
	return nil
}

// Open returns the stream as it is now.
func Open(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("looking at stream %s: %w", name, err)
	}
	return stream, nil
}

// FirstSince returns the sequence of the first message stored at t or later, or the one after
// the last of the stream.
func FirstSince(ctx context.Context, stream jetstream.Stream, t time.Time) (uint64, error) {
	return firstSince(ctx, stream, t, Get)
}

// FirstReadableSince is [FirstSince] that passes over messages as [GetReadable] does.
func FirstReadableSince(ctx context.Context, stream jetstream.Stream, t time.Time) (uint64, error) {
	return firstSince(ctx, stream, t, GetReadable)
}

type getter func(ctx context.Context, stream jetstream.Stream, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error)

func firstSince(ctx context.Context, stream jetstream.Stream, t time.Time, get getter) (uint64, error) {
	state := stream.CachedInfo().State
	low, high := max(1, state.FirstSeq), state.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		m, err := get(ctx, stream, middle, jetstream.WithGetMsgSubject(">"))
		switch {
		case errors.Is(err, bridge.ErrNotFound):
			high = middle // nothing is readable from there on
		case err != nil:
			return 0, err
		case m.Time.Before(t):
			low = m.Sequence + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// countingGone is after how long the server removes a counting consumer that we could not
// remove.
const countingGone = 5 * time.Second

// Count returns how many messages from the sequence on match one of the subject patterns, which
// must not overlap. It makes a temporary consumer and reads its pending messages, so it needs
// permission to make one, and room for one more.
func Count(ctx context.Context, stream jetstream.Stream, subjects []string, from uint64) (uint64, error) {
	c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "Hookspan: counts and is removed again",
		FilterSubjects:    subjects,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: countingGone,
	})
	if err != nil {
		return 0, fmt.Errorf("counting messages of %s: %w", stream.CachedInfo().Config.Name, err)
	}
	info := c.CachedInfo()
	_ = stream.DeleteConsumer(ctx, info.Name) // it expires by itself
	return info.NumPending, nil
}

// Filters returns the subjects that a durable reads.
func Filters(c jetstream.ConsumerConfig) []string {
	switch {
	case c.FilterSubject != "":
		return []string{c.FilterSubject}
	case len(c.FilterSubjects) == 0:
		return []string{">"}
	}
	return c.FilterSubjects
}
