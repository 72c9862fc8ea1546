package lists

import (
	"context"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// ListEvents returns a page of events. The error wraps [adminapi.ErrCursor] for a cursor that is
// none.
func (l *Lists) ListEvents(ctx context.Context, sel adminapi.EventSelection) (list adminapi.EventList, err error) {
	list.Events, list.Listed, err = newest(ctx, l, source[adminapi.Event]{
		stream: l.names.EventsStream(),
		walk: func(after, before uint64, add func(uint64, bool, adminapi.Event) error) error {
			walked := sel
			walked.After, walked.Before, walked.Newest = after, before, true
			return l.events.Scan(ctx, walked, func(e adminapi.EventEntry, selected bool) error {
				return add(e.Sequence, selected, adminapi.NewEvent(&e))
			})
		},
		view: func(cursor string, limit int) (rows []adminapi.Event, next string, lacks uint64, err error) {
			page, err := l.view.Events(ctx, view.EventQuery{Filter: sel.Filter, Prediction: sel.Prediction, Since: sel.Since, Until: sel.Until, Cursor: cursor, Limit: limit})
			for _, e := range page.Events {
				rows = append(rows, adminapi.Event{
					Seq: e.Sequence, StoredAt: e.Stored, ID: e.ID, Kind: e.Kind, Origin: e.Origin, Source: e.Source, Prediction: e.Prediction,
					Model: e.Model, Status: e.Status, ReceivedAt: e.Received, BodyBytes: e.Bytes,
				})
			}
			return rows, page.Next, page.Horizon, err
		},
	}, sel.Cursor, sel.Limit)
	return list, err
}
