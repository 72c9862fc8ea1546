// Package lists has the lists of dead letters, kept deliveries and events that operators see,
// the newest first. The view answers; what it has not folded yet, and events that it does not
// keep any more, are read from their stream. So a list lacks nothing that the stream has, also
// while the view is behind, is being made anew, or cannot be used.
package lists

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natserr"
)

// walkTime bounds the reading of a stream for one page: it may hold few entries that match. The
// page is short then, and has a cursor.
const walkTime = 5 * time.Second

// Lists are the lists. They are safe for concurrent use.
type Lists struct {
	view   *view.View
	names  bridge.Names
	dead   *redelivery.DeadLetters
	events *redelivery.Events
	kept   *quarantine.KeptStore
}

// New returns the lists of what js has. Without a view, v nil, everything is read from the
// streams.
func New(v *view.View, js jetstream.JetStream, names bridge.Names) *Lists {
	return &Lists{view: v, names: names, dead: redelivery.NewDeadLetters(js, names), events: redelivery.NewEvents(js, names), kept: quarantine.NewKeptStore(js, names)}
}

// source is where the entries of one list are.
type source[T any] struct {
	stream string
	// walk reads the stream backwards between the sequences after and before, and calls add with
	// each message that it reads, until add returns an error, which walk returns.
	walk func(after, before uint64, add func(seq uint64, selected bool, row T) error) error
	// view returns a page of what the view has, and the sequence up to which the view lacks some.
	view func(cursor string, limit int) (rows []T, next string, lacks uint64, err error)
}

// newest returns a page of the source. While NATS is away it has what the view has.
func newest[T any](ctx context.Context, l *Lists, src source[T], cursor string, limit int) (rows []T, at adminapi.Listed, err error) {
	before, err := parse(cursor)
	if err != nil {
		return nil, at, err
	}
	rows = []T{}
	walk := func(after uint64) (done bool, err error) {
		read, last, more, err := collect(limit-len(rows), func(add func(uint64, bool, T) error) error { return src.walk(after, before, add) })
		rows = append(rows, read...)
		if more {
			at.Next = cursorOf(last)
		}
		return more, err
	}
	folded, away := l.folded(ctx, src.stream), error(nil)
	if before > folded+1 {
		done, err := walk(folded)
		if err != nil && natserr.Away(err) {
			at.AsOf, away, rows = l.completeUntil(src.stream), err, rows[:0]
		}
		if done || err != nil && at.AsOf.IsZero() {
			return rows, at, err
		}
		before = folded + 1
	}
	if folded == 0 {
		return rows, at, nil
	}
	if len(rows) == limit {
		at.Next = cursorOf(before)
		return rows, at, nil
	}
	known, next, lacks, err := src.view(cursorOf(before), limit-len(rows))
	rows, at.Next = append(rows, known...), next
	switch {
	case errors.Is(err, view.ErrUnavailable):
		lacks = before
	case err != nil || next != "":
		return rows, at, err
	}
	if before = min(before, lacks+1); before <= 1 {
		return rows, at, nil
	}
	if len(rows) == limit {
		at.Next = cursorOf(before)
		return rows, at, nil
	}
	if away == nil {
		_, err = walk(0)
		if !natserr.Away(err) {
			return rows, at, err
		}
		away = err
	}
	if len(rows) == 0 {
		return rows, at, away
	}
	at.Next = cursorOf(before) // what follows can be read when NATS is back
	return rows, at, nil
}

func (l *Lists) completeUntil(stream string) time.Time {
	if l.view == nil {
		return time.Time{}
	}
	return l.view.CompleteUntil(stream)
}

// folded returns up to where the view has the stream, without what has left it since.
func (l *Lists) folded(ctx context.Context, stream string) uint64 {
	if l.view == nil || l.view.Refresh(ctx, stream) != nil {
		return 0
	}
	return l.view.Folded(stream)
}

// errPage ends a walk whose page is full.
var errPage = errors.New("the page is full")

// collect returns at most limit rows that are selected, and the last sequence that it looked at;
// more says that there may be others.
func collect[T any](limit int, walk func(add func(seq uint64, selected bool, row T) error) error) (rows []T, last uint64, more bool, err error) {
	until := time.Now().Add(walkTime)
	err = walk(func(seq uint64, selected bool, row T) error {
		if selected && len(rows) == limit || last > 0 && time.Now().After(until) {
			more = true
			return errPage
		}
		if selected {
			rows = append(rows, row)
		}
		last = seq
		return nil
	})
	if errors.Is(err, errPage) {
		err = nil
	}
	return rows, last, more, err
}

// parse returns the sequence that a cursor stays below.
func parse(cursor string) (before uint64, err error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	if before, err = strconv.ParseUint(cursor, 36, 63); err != nil {
		return 0, fmt.Errorf("%.20q: %w", cursor, adminapi.ErrCursor)
	}
	return before, nil
}

func cursorOf(before uint64) string { return strconv.FormatUint(before, 36) }
