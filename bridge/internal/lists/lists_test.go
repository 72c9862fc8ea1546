package lists_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lists"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

const patience = 60 * time.Second

// rig is a server with a view that folds only while it is told to.
type rig struct {
	*natstest.Streams

	t    *testing.T
	view *view.View
	n    int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := natstest.Start(t)
	v, err := view.Open(view.Config{Path: filepath.Join(t.TempDir(), "view.db"), Names: s.Names, JS: s.JS, Keep: time.Nanosecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	return &rig{Streams: s, t: t, view: v}
}

// fold has the view fold until done.
func (r *rig) fold(done func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.view.Run(ctx) }()
	require.Eventually(r.t, done, patience, time.Millisecond)
	cancel()
	require.NoError(r.t, <-ended)
}

// foldAll has it fold what there is.
func (r *rig) foldAll() {
	r.t.Helper()
	r.fold(func() bool {
		for _, name := range []string{r.Names.EventsStream(), r.Names.DeadStream(), r.Names.QuarantineStream()} {
			s, err := r.JS.Stream(r.t.Context(), name)
			require.NoError(r.t, err)
			if r.view.Folded(name) < s.CachedInfo().State.LastSeq {
				return false
			}
		}
		return true
	})
}

// say publishes n events, each with a dead letter and a delivery in quarantine.
func (r *rig) say(n int) {
	r.t.Helper()
	for range n {
		r.n++
		e := natstest.Event(fmt.Sprint("p", r.n))
		_, err := r.Publish(r.t.Context(), e)
		require.NoError(r.t, err)
		letter := bridge.DeadLetter{Consumer: fmt.Sprint("c", r.n%2), Cause: bridge.DeadRefused, Error: fmt.Sprint("status ", r.n), Subject: r.Names.SubjectOf(e), Sequence: uint64(r.n)} //nolint:gosec // positive
		for subject, h := range map[string]bridge.Header{r.Names.Dead(letter.Consumer, letter.Subject): letter.Header(e.Header()), r.Names.Quarantine("get3w", fmt.Sprint("c", r.n%2)): {"X": {"1"}}} {
			_, err = r.JS.PublishMsg(r.t.Context(), &nats.Msg{Subject: subject, Header: nats.Header(h), Data: e.Body})
			require.NoError(r.t, err)
		}
	}
}

// pages returns the sequences of all pages.
func pages(t *testing.T, limit int, list func(cursor string, limit int) (seqs []uint64, next string, err error)) (all []uint64) {
	t.Helper()
	for cursor, more := "", true; more; more = cursor != "" {
		seqs, next, err := list(cursor, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(seqs), limit)
		all, cursor = append(all, seqs...), next
	}
	return all
}

// requireSame compares the lists of a view with those of the streams alone.
func (r *rig) requireSame() {
	r.t.Helper()
	whole, parts := lists.New(nil, r.JS, r.Names), lists.New(r.view, r.JS, r.Names)
	for _, limit := range []int{1, 3, 7, 1000} {
		for _, sel := range []adminapi.DeadSelection{{}, {Consumer: "c1"}, {Prediction: "p3"}, {Cause: bridge.DeadExpired}, {Group: view.DeadGroupID("c0", bridge.DeadRefused, "status 7")}} {
			of := func(l *lists.Lists) []uint64 {
				return pages(r.t, limit, func(cursor string, limit int) (seqs []uint64, next string, err error) {
					sel := sel
					sel.Cursor, sel.Limit = cursor, limit
					list, err := l.ListDead(r.t.Context(), sel)
					for _, d := range list.Letters {
						require.Equal(r.t, view.DeadGroupID(d.Consumer, d.Cause, d.Error), d.Group)
						seqs = append(seqs, d.Seq)
					}
					return seqs, list.Next, err
				})
			}
			require.Equal(r.t, of(whole), of(parts), "%+v", sel)
		}
		for _, sel := range []adminapi.EventSelection{{}, {Prediction: "p5"}, {Filter: bridge.Filter{Statuses: []string{"failed"}}}, {Filter: bridge.Filter{Sources: []string{"get3w"}, Model: "get3w/*"}}} {
			var rows [2][]adminapi.Event
			of := func(i int, l *lists.Lists) []uint64 {
				return pages(r.t, limit, func(cursor string, limit int) (seqs []uint64, next string, err error) {
					sel := sel
					sel.Cursor, sel.Limit = cursor, limit
					list, err := l.ListEvents(r.t.Context(), sel)
					for _, e := range list.Events {
						e.StoredAt, e.ReceivedAt = e.StoredAt.UTC(), e.ReceivedAt.UTC()
						seqs, rows[i] = append(seqs, e.Seq), append(rows[i], e)
					}
					return seqs, list.Next, err
				})
			}
			require.Equal(r.t, of(0, whole), of(1, parts), "%+v", sel)
			require.Equal(r.t, rows[0], rows[1])
		}
		for _, sel := range []adminapi.KeptSelection{{}, {Place: adminapi.PlaceQuarantine}, {Cause: "c1"}, {Place: adminapi.PlaceRefused}} {
			of := func(l *lists.Lists) []uint64 {
				return pages(r.t, limit, func(cursor string, limit int) (seqs []uint64, next string, err error) {
					sel := sel
					sel.Cursor, sel.Limit = cursor, limit
					list, err := l.ListKept(r.t.Context(), sel)
					for _, k := range list.Entries {
						seqs = append(seqs, k.Seq)
					}
					return seqs, list.Next, err
				})
			}
			require.Equal(r.t, of(whole), of(parts), "%+v", sel)
		}
	}
}

// Wherever the view is in the streams, and whatever it no longer has, a list has what the streams
// have, each entry once and the newest first.
func TestListsLackNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say(4)
	r.requireSame() // the view has folded nothing
	r.foldAll()
	r.requireSame()
	r.say(5)
	r.requireSame()
	r.foldAll()
	r.fold(func() bool { // the first ones have ended and go
		page, err := r.view.Events(t.Context(), view.EventQuery{})
		return err == nil && page.Horizon > 0
	})
	r.say(3)
	r.requireSame()

	dead, err := r.JS.Stream(t.Context(), r.Names.DeadStream())
	require.NoError(t, err)
	for _, seq := range []uint64{3, 9, 11} { // who removes one does not see it again
		require.NoError(t, dead.DeleteMsg(t.Context(), seq))
		r.requireSame()
	}
	require.NoError(t, dead.Purge(t.Context()))
	r.requireSame()
	require.NoError(t, r.view.Close()) // it cannot be used
	r.requireSame()
}

func TestForeignCursors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := lists.New(r.view, r.JS, r.Names)
	for _, cursor := range []string{"!", "-5", "zzzzzzzzzzzzzz", "1.2", "a b", "\x00", "ﬁ"} {
		_, err := l.ListDead(t.Context(), adminapi.DeadSelection{Cursor: cursor, Limit: 1})
		require.ErrorIs(t, err, adminapi.ErrCursor)
		_, err = l.DeadGroups(t.Context(), adminapi.DeadSelection{Cursor: cursor, Limit: 1})
		if cursor != "-5" { // a number of the view's lists
			require.ErrorIs(t, err, adminapi.ErrCursor)
		}
		_, err = l.Alarms(t.Context(), adminapi.AlarmSelection{Active: true, Cursor: cursor, Limit: 1})
		require.ErrorIs(t, err, adminapi.ErrCursor)
		_, err = l.Models(t.Context(), adminapi.ModelSelection{Since: time.Hour, Cursor: cursor, Limit: 1})
		require.ErrorIs(t, err, adminapi.ErrCursor)
	}
	for _, cursor := range []string{"1", "1.2.3", ".!", "-.x y"} {
		_, err := l.ListKept(t.Context(), adminapi.KeptSelection{Cursor: cursor, Limit: 1})
		require.ErrorIs(t, err, adminapi.ErrCursor, cursor)
	}
	require.NoError(t, r.view.Close())
	_, err := l.Alarms(t.Context(), adminapi.AlarmSelection{Limit: 1})
	require.ErrorIs(t, err, adminapi.ErrUnavailable)
}
