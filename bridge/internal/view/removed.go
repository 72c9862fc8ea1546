package view

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/internal/streamread"
)

// removal has the statements that remove the row of one message of a stream, and the rows of
// all below one: dead letters are redriven, deliveries accepted, rings lose their oldest.
// Nobody tells of that, so each look compares. Of the stream of events nothing is removed
// because a message left it.
type removal struct {
	one, to string
	args    []any // in front of the sequence
	// counting returns what takes each row that a statement returns, and what is called at the
	// end; nil for statements that return none.
	counting func(c *conn) (row func(*sqlite3.Stmt) error, done func() error)
}

// from removes the rows below first and those of the sequences.
func (r removal) from(c *conn, first uint64, sequences []uint64) error {
	row, done := func(*sqlite3.Stmt) error { return nil }, func() error { return nil }
	if r.counting != nil {
		row, done = r.counting(c)
	}
	if err := c.query(r.to, row, append(append([]any{}, r.args...), first)...); err != nil {
		return err
	}
	for _, seq := range sequences {
		if err := c.query(r.one, row, append(append([]any{}, r.args...), seq)...); err != nil {
			return err
		}
	}
	return done()
}

// gaps is what a stream had lost when the view had everything up to last, and no row of what
// was lost.
type gaps struct {
	first, last uint64
	deleted     []uint64
	again       time.Time // when the gaps may be listed again
}

// gapsAtOnce is how many gaps of a stream are listed whenever they change. Longer lists are
// asked for less often: for each as many more, gapsPause passes.
const (
	gapsAtOnce = 10_000
	gapsPause  = time.Second
)

// Refresh removes the rows of the messages that have left the stream, unless these are so many
// that they were listed a moment ago. Without it a row goes within a second.
func (v *View) Refresh(ctx context.Context, stream string) error {
	for _, s := range v.streams {
		if s.name == stream && s.removed.to != "" {
			return s.lookAtRows(ctx)
		}
	}
	return nil
}

// without returns what is in a and not in b; both ascend.
func without(a, b []uint64) (out []uint64) {
	for _, seq := range a {
		for len(b) > 0 && b[0] < seq {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != seq {
			out = append(out, seq)
		}
	}
	return out
}

// lookAtRows looks how far the stream is, and removes the rows of messages that left it.
func (s *stream) lookAtRows(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now := time.Now()
	stream, err := streamread.Open(ctx, s.cfg.JS, s.name)
	if err != nil {
		return nil // the reader meets the same error, or the next look succeeds
	}
	info := stream.CachedInfo()
	have, folded, ok := s.looked(info, now)
	if !ok || now.Before(have.again) || have.first == info.State.FirstSeq && len(have.deleted) == info.State.NumDeleted {
		return nil
	}
	if info.State.NumDeleted > 0 {
		if info, err = stream.Info(ctx, jetstream.WithDeletedDetails(true)); err != nil {
			return nil // the next look does it
		}
	}
	deleted := info.State.Deleted
	slices.Sort(deleted)
	if err := s.remove(info.State.FirstSeq, without(deleted, have.deleted)); err != nil {
		return fmt.Errorf("removing what left %s: %w", s.name, err)
	}
	tail := 0
	for _, seq := range deleted {
		if seq > folded {
			tail++
		}
	}
	if folded+uint64(tail) >= info.State.LastSeq { //nolint:gosec // positive
		s.mu.Lock()
		s.gone = gaps{info.State.FirstSeq, info.State.LastSeq, deleted, now.Add(time.Duration(len(deleted)/gapsAtOnce) * gapsPause)}
		s.mu.Unlock()
	}
	return nil
}

// looked notes how far the stream is. It returns the gaps that the view knows and up to where
// it has everything, and false for another stream than the one that is read.
func (s *stream) looked(info *jetstream.StreamInfo, now time.Time) (have gaps, folded uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.position.created.Equal(info.Created) {
		return gaps{}, 0, false
	}
	folded, s.messages = max(s.position.seq, s.gone.last), info.State.Msgs
	s.goal, s.goalAt, s.pending = info.State.LastSeq, now, info.State.LastSeq-min(folded, info.State.LastSeq)
	if s.pending == 0 {
		s.current = now
	}
	return s.gone, folded, true
}

// remove removes the rows below first and those of the sequences.
func (s *stream) remove(first uint64, sequences []uint64) error {
	return s.write(func(c *conn) error { return s.removed.from(c, first, sequences) })
}

// clear removes every row.
func (s *stream) clear(c *conn) error {
	return s.removed.from(c, math.MaxInt64, nil)
}
