package view

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// position is how far the view is in a stream.
type position struct {
	created time.Time // of the stream; zero: it was never read
	seq     uint64
	stored  time.Time
	goal    uint64
}

// stream is one of the streams that are folded.
type stream struct {
	*View

	name     string
	subjects []string
	decode   func(names bridge.Names, m jetstream.Msg, to *message) error
	// fold writes the messages within a transaction; tell, if any, is called after it.
	fold func(c *conn, s *stream, b block) (tell func(), err error)
	// removed removes rows; without it the whole view is made anew when the stream was.
	removed removal

	mu       sync.Mutex
	position position
	pending  uint64 // messages behind the last one that was read
	messages uint64 // in the stream, when it was last looked at; for streams that lose some
	reader   *streamread.Reader
	// goal is the last sequence of the stream at goalAt; current is when the view last had
	// everything.
	goal            uint64
	goalAt, current time.Time
	err             error // of the last try to read
	gone            gaps
}

func (s *stream) at() position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

// loadPositions sets the position of every stream.
func (v *View) loadPositions(db *database) error {
	at := map[string]position{}
	err := db.writer.query(selectPositions, func(s *sqlite3.Stmt) error {
		at[s.ColumnText(0)] = position{created: timeOf(s, 1), seq: uint64(s.ColumnInt64(2)), stored: timeOf(s, 3), goal: uint64(s.ColumnInt64(4))} //nolint:gosec // as they were written
		return nil
	})
	for _, s := range v.streams {
		s.mu.Lock()
		s.position, s.reader, s.pending, s.gone = at[s.name], nil, 0, gaps{}
		s.goal, s.goalAt, s.current = 0, time.Time{}, time.Time{}
		s.mu.Unlock()
	}
	return err
}

func (c *conn) setPosition(stream string, p position) error {
	return c.run(setPosition, stream, p.created, p.seq, p.stored, p.goal)
}

// begin compares the position with the stream, and makes a reader behind it.
func (s *stream) begin(ctx context.Context) (*streamread.Reader, error) {
	asked := time.Now()
	stream, err := streamread.Open(ctx, s.cfg.JS, s.name)
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	p := s.at()
	same, err := sameStream(ctx, stream, p)
	if err != nil {
		return nil, err
	}
	if !same || p.created.IsZero() {
		if err := s.makeAnew(ctx, info, !p.created.IsZero()); err != nil {
			return nil, err
		}
		p = s.at()
	}
	if first := info.State.FirstSeq; p.seq > 0 && p.seq+1 < first {
		s.log.Warn("messages left their stream before the view had them", zap.String("stream", s.name), zap.Uint64("first", p.seq+1), zap.Uint64("last", first-1))
	}
	r, err := streamread.NewReader(ctx, s.cfg.JS, streamread.ReaderConfig{Stream: s.name, Subjects: s.subjects, After: p.seq, Description: "Hookspan: the view"})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.reader, s.goal, s.goalAt, s.pending = nil, r, info.State.LastSeq, asked, r.Pending()
	if s.pending == 0 {
		s.current = asked
	}
	return r, nil
}

// sameStream reports whether the stream is the one of the position, and still has, or had,
// the message there. A stream that lost its newest messages gives their numbers to others.
func sameStream(ctx context.Context, stream jetstream.Stream, p position) (bool, error) {
	info := stream.CachedInfo()
	if p.created.IsZero() || p.seq == 0 {
		return p.created.IsZero() || p.created.Equal(info.Created), nil
	}
	if !p.created.Equal(info.Created) || p.seq > info.State.LastSeq {
		return false, nil
	}
	m, err := streamread.GetReadable(ctx, stream, p.seq)
	if errors.Is(err, bridge.ErrNotFound) {
		return true, nil
	}
	return err == nil && m.Time.Equal(p.stored), err
}

// makeAnew begins a stream at its first message.
func (s *stream) makeAnew(ctx context.Context, info *jetstream.StreamInfo, hadRows bool) error {
	p := position{created: info.Created.UTC(), goal: info.State.LastSeq}
	if hadRows && s.removed.to == "" {
		return errAnew
	}
	err := s.write(func(c *conn) error {
		if s.removed.to == "" {
			if err := s.restore(ctx, c, p, info); err != nil {
				return err
			}
		} else if err := s.clear(c); err != nil {
			return err
		}
		return c.setPosition(s.name, p)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.position, s.gone, s.current = p, gaps{}, time.Time{}
	s.mu.Unlock()
	return nil
}

// foldBlock folds a block and stores the position with it.
func (s *stream) foldBlock(b block) error {
	p := s.at()
	p.seq, p.stored = b.last, b.stored
	var tell func()
	err := s.write(func(c *conn) (err error) {
		if tell, err = s.fold(c, s, b); err != nil {
			return err
		}
		return c.setPosition(s.name, p)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.position, s.pending = p, b.pending
	if len(b.msgs) > 0 && b.msgs[0].seq <= s.gone.last { // a message left the stream after it was read
		s.gone = gaps{}
	}
	if s.goal > 0 && p.seq >= s.goal && s.goalAt.After(s.current) {
		s.current = s.goalAt
	}
	s.mu.Unlock()
	if tell != nil {
		tell()
	}
	return nil
}

// look asks how far the stream is. Only what the writer cannot write is an error.
func (s *stream) look(ctx context.Context) error {
	if s.removed.to != "" {
		return s.lookAtRows(ctx)
	}
	s.lookAhead(ctx)
	return nil
}

// lookAhead asks how many messages the reader has still to get.
func (s *stream) lookAhead(ctx context.Context) {
	s.mu.Lock()
	r := s.reader
	s.mu.Unlock()
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now := time.Now()
	info, err := r.Info(ctx)
	if err != nil {
		return // the reader meets the same error, or the next look succeeds
	}
	goal := info.Delivered.Stream
	if info.NumPending > 0 {
		stream, err := streamread.Open(ctx, s.cfg.JS, s.name)
		if err != nil {
			return
		}
		goal = stream.CachedInfo().State.LastSeq
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != r {
		return
	}
	s.goal, s.goalAt, s.pending = goal, now, info.NumPending
	if info.NumPending == 0 && s.position.seq >= goal {
		s.current = now
	}
}

// lookTimeout bounds one look.
const lookTimeout = 2 * time.Second
