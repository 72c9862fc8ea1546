package lists

import (
	"context"
	"fmt"
	"strings"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// ListKept returns a page of kept deliveries, of one place or of both. The error wraps
// [adminapi.ErrCursor] for a cursor that is none.
func (l *Lists) ListKept(ctx context.Context, sel adminapi.KeptSelection) (list adminapi.KeptList, err error) {
	if sel.Place != "" {
		list.Entries, list.Listed, err = l.keptAt(ctx, sel.Place, sel, sel.Cursor)
		return list, err
	}
	places := adminapi.Places()
	parts := make([]part, len(places))
	cursors, err := split(sel.Cursor, len(places))
	if err != nil {
		return list, err
	}
	for i, place := range places {
		if cursors[i] != ended {
			var at adminapi.Listed
			if parts[i].rows, at, err = l.keptAt(ctx, place, sel, cursors[i]); err != nil {
				return list, err
			}
			parts[i].next = at.Next
			if list.AsOf.IsZero() || !at.AsOf.IsZero() && at.AsOf.Before(list.AsOf) {
				list.AsOf = at.AsOf
			}
		}
	}
	list.Entries, list.Next = merge(parts, sel.Limit)
	return list, nil
}

// The cursor of both places has that of each, or a mark for the end.
const separator, ended = ".", "-"

// split returns the cursors of the places; the first page has none.
func split(cursor string, n int) ([]string, error) {
	if cursor == "" {
		return make([]string, n), nil
	}
	out := strings.Split(cursor, separator)
	if len(out) != n {
		return nil, fmt.Errorf("%.20q: %w", cursor, adminapi.ErrCursor)
	}
	return out, nil
}

// part is a page of one place.
type part struct {
	rows []adminapi.KeptDelivery
	next string
}

// merge returns the newest of the parts, each in its order, and where each goes on.
func merge(parts []part, limit int) (out []adminapi.KeptDelivery, next string) {
	out = []adminapi.KeptDelivery{}
	cursors := make([]string, len(parts))
	for len(out) < limit {
		best := -1
		for i, p := range parts {
			if len(p.rows) == 0 && p.next != "" { // what follows there may be newer than the others
				best = -1
				break
			}
			if len(p.rows) > 0 && (best < 0 || p.rows[0].ReceivedAt.After(parts[best].rows[0].ReceivedAt)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		out, parts[best].rows = append(out, parts[best].rows[0]), parts[best].rows[1:]
	}
	more := false
	for i, p := range parts {
		switch {
		case len(p.rows) > 0:
			cursors[i] = cursorOf(p.rows[0].Seq + 1)
		case p.next == "":
			cursors[i] = ended
		default:
			cursors[i] = p.next
		}
		more = more || cursors[i] != ended
	}
	if !more {
		return out, ""
	}
	return out, strings.Join(cursors, separator)
}

func (l *Lists) keptAt(ctx context.Context, place string, sel adminapi.KeptSelection, cursor string) ([]adminapi.KeptDelivery, adminapi.Listed, error) {
	stream := l.names.QuarantineStream()
	if place == adminapi.PlaceRefused {
		stream = l.names.RefusedStream()
	}
	return newest(ctx, l, source[adminapi.KeptDelivery]{
		stream: stream,
		walk: func(after, before uint64, add func(uint64, bool, adminapi.KeptDelivery) error) error {
			walked := sel
			walked.Place, walked.After, walked.Before, walked.Newest = place, after, before, true
			return l.kept.Walk(ctx, walked, func(e adminapi.KeptEntry) error { return add(e.Sequence, true, adminapi.NewKeptDelivery(&e)) })
		},
		view: func(cursor string, limit int) (rows []adminapi.KeptDelivery, next string, lacks uint64, err error) {
			page, next, err := l.view.Kept(ctx, view.KeptQuery{Refused: place == adminapi.PlaceRefused, Source: sel.Source, Cause: sel.Cause, Cursor: cursor, Limit: limit})
			for _, k := range page {
				rows = append(rows, adminapi.KeptDelivery{
					Stream: place, Seq: k.Sequence, Source: k.Source, Cause: k.Cause, Detail: k.Detail, ReceivedAt: k.Received,
					Remote: k.Remote, RequestID: k.RequestID, BodyBytes: k.Bytes, Truncated: k.Truncated,
				})
			}
			return rows, next, 0, err
		},
	}, cursor, sel.Limit)
}
