package lists

import (
	"context"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// ListDead returns a page of dead letters. The error wraps [adminapi.ErrCursor] for a cursor
// that is none.
func (l *Lists) ListDead(ctx context.Context, sel adminapi.DeadSelection) (list adminapi.DeadLetterList, err error) {
	list.Letters, list.Listed, err = newest(ctx, l, source[adminapi.DeadLetter]{
		stream: l.names.DeadStream(),
		walk: func(after, before uint64, add func(uint64, bool, adminapi.DeadLetter) error) error {
			walked := sel
			walked.After, walked.Before, walked.Newest = after, before, true
			return l.dead.Scan(ctx, walked, func(e adminapi.DeadEntry, selected bool) error {
				row := adminapi.NewDeadLetter(&e)
				row.Group = view.DeadGroupID(e.Consumer, e.Cause, e.Error)
				return add(e.Sequence, selected && (sel.Group == "" || sel.Group == row.Group), row)
			})
		},
		view: func(cursor string, limit int) (rows []adminapi.DeadLetter, next string, lacks uint64, err error) {
			page, next, err := l.view.DeadLetters(ctx, view.DeadQuery{
				Consumer: sel.Consumer, Cause: sel.Cause, Prediction: sel.Prediction, Group: sel.Group, Cursor: cursor, Limit: limit,
			})
			for _, d := range page {
				rows = append(rows, adminapi.DeadLetter{
					Seq: d.Sequence, DiedAt: d.Stored, Consumer: d.Consumer, Cause: d.Cause, Fault: d.Fault, Error: d.Error, Attempts: d.Attempts, Redrives: d.Redrives,
					EventSeq: d.At, Event: d.Event, Source: d.Source, Prediction: d.Prediction, Model: d.Model, Status: d.Status, Problem: d.Problem, Group: d.Group,
				})
			}
			return rows, next, 0, err
		},
	}, sel.Cursor, sel.Limit)
	return list, err
}
